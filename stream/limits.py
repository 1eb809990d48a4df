"""Every limit of the program, with its reason. Sizes in bytes, times in seconds."""

MAX_OBJECTS = 16
"""Objects a session may track: each costs one attention and one decoder pass a frame."""

MAX_POINTS = 64
"""Points one object may collect on one frame; the decoder's cost grows with their square."""

MAX_UNDO = 16
"""Prompts that can be taken back; each keeps its object's former memory bank alive."""

KEPT_FRAMES = 8
"""Tracked frames that a late click can go back to: at 10 to 25 a second, as far back as a person
and the network are late. Each keeps its features: 1.2 MB for nano at 384, 16 MB for a full
model at 1024."""

RECENT_FRAMES = 8
"""Pictures that a session's first prompt can go back to: a quarter of a second at 30 a second."""

MAX_SIDE = 4096
"""Longest side of an accepted picture in pixels: 4K video passes, a decompression bomb does not."""

MAX_SDP = 256 * 1024
"""An SDP offer: browsers send 5 to 20 KiB."""

MAX_MESSAGE = 64 * 1024
"""One control message: the largest that every WebRTC stack passes."""

MAX_BACKGROUND = 10 * 1024 * 1024
"""An uploaded background picture, as a file."""

MAX_BACKGROUND_PICTURES = 300
BACKGROUND_VIDEO_SIDE = 640
"""A background video is kept decoded: ten seconds at 30 a second, 200 MB at 16:9."""

MAX_SESSIONS = 16
"""Live sessions of one server."""

MAX_VIEWERS = 16
"""Who watch one session, its own page among them. Each costs its encryption, 3.5 ms of CPU for a
picture of 720p, so that sixteen take two cores at 30 a second; an encoder of its own, 7 ms more."""

VIEWER_SILENCE = 15.0
"""A viewer that sent nothing for so long is gone. GStreamer reports every 5 s, browsers each
second; by ICE's own consent checks it would take 30 s, and FFmpeg does not answer them."""

MEDIA_SILENCE = 10.0
"""A peer that sent no picture for so long is gone."""

CONNECT_TIMEOUT = 30.0
"""From the answer to the first packet of a peer."""

MASK_LATE = 1.0
"""Seconds up to which a mask is moved to the present picture by optical flow. A later one hides:
errors of the flow add up, and at ten masks a second it means that the tracker hangs."""

MAX_EFFECTS = 8
"""Effects on top of each other: each costs a pass over the picture."""

EFFECT_TIMEOUT = 10.0
"""To set effects that a request asks for: drawing a background at 4K takes a tenth of a second, a
machine that is busy ten times as long, and a session that ends answers nobody."""

MAX_COMMANDS = 64
"""Prompts and other commands of one session that wait for the tracker: more than anybody clicks
before one picture is through."""

MAX_UPLOADS = 4
"""Uploaded backgrounds a session keeps, the newest; each is a decoded picture in memory."""

MAX_UPLOAD_MEMORY = 384 * 1024 * 1024
"""Decoded, of the uploads a session keeps, and of the backgrounds its effects show: a square video
of BACKGROUND_VIDEO_SIDE fits. Sixteen sessions with four videos each would take 20 GB."""

MAX_CANDIDATES = 64
"""ICE candidates of an offer: each is checked, a browser has under ten."""

MAX_UNSENT = 1024 * 1024
"""Control messages that a peer has not fetched yet; one that reads nothing gets no more."""

MAX_AUDIO_DELAY = 1.0
"""How far audio is held back to stay with the picture; also bounds what is held."""

MAX_WORD = 60
"""Characters of a word or phrase that names an object: "the second man from the left in a red
jacket" is 48, and longer ones name something else."""

MAX_CONNECTIONS = 512
"""Of HTTP at once, idle ones too: half of the 1024 files that a process usually may have."""

HEAD_TIMEOUT = 20.0
"""From connecting to the end of the first request's head. Browsers connect before they ask."""

MAX_HEAD = 64 * 1024
"""Bytes of a request's head that are kept until it ends; more are for aiohttp to refuse."""

BODY_TIMEOUT = 30.0
"""To send a request's body: 10 MiB over a slow link, not a connection held open for ever."""

CLOSE_TIMEOUT = 5.0
"""For a peer connection to end, then it is abandoned; and for the worker, then it is killed."""

MAX_JPEG_SCANS = 100
"""Scans of a progressive JPEG: encoders write about 10; each may cost a pass over every pixel."""

MAX_ENCODED = 30
"""Received pictures that wait for the decoder, a second of them; then it starts afresh."""

MAX_ENCODED_AGE = 0.25
"""Seconds that the first of them may have waited. A decoder that merely was held up catches up with
as much within 50 ms; one that is starved would leave all pictures a second old, as was measured."""

KEPT_SIDE = 1920
"""Uploaded backgrounds are kept at this longest side: a camera shows no more, and sixteen sessions
with four pictures of MAX_SIDE each would take 3 GB."""

MAX_SDP_LINES = 1000
"""Browsers send under 500; aiortc's parser compares lines with each other, so time grows with
their square."""

MAX_CODECS = 128
"""Codecs of an offer: as many as there are payload types; browsers offer under 60."""

WORKER_SILENCE = 10.0
"""A worker that says nothing for so long hangs and is replaced. Where one step takes over half a
second, SLOW_STEPS of them instead."""

SLOW_STEPS = 20
"""Steps with one object that a slow network may take between two signs of life: objects and
sessions share a batch."""

WORKER_START = 120.0
"""For a worker that takes another's place to load its network; the weights are there already."""

MAX_RESTARTS = 5
"""Workers that may die within RESTART_WINDOW; then something is wrong that no restart mends."""

RESTART_WINDOW = 60.0
"""Also the pause after which it is tried again."""

MAX_FAILURES = 3
"""Turns in a row that break; then it is not the sessions' fault, and the worker ends."""

MAX_PROMPTS_A_TURN = 2
"""Prompts of a session that the worker applies before it says that it is alive: one that is given
on the oldest of KEPT_FRAMES costs so many steps, and MAX_COMMANDS of them over WORKER_SILENCE."""

MAX_ATTEMPTS = 2
"""Workers that one command is given to: one that dies of it must not take all others along."""

SNAPSHOT_INTERVAL = 0.8
"""Between two snapshots of a session whose picture moves on, so that a second is never lost."""

MAX_VIDEO = 512 * 1024 * 1024
"""A video sent or fetched for a job, as a file: ten minutes of 1080p as phones record it."""

MAX_JSON = 64 * 1024 * 1024
"""A JSON request with a video in a data: URI, which is held in memory; larger ones are uploaded as
multipart, which is not."""

MAX_JSON_VALUES = 200_000
"""In a JSON request, told by its commas: MAX_JOB_PROMPTS with MAX_POINTS each are 130,000 numbers.
As many empty lists as MAX_JSON has room for stopped the event loop for 8 s and took a gigabyte."""

MAX_FIELD = 1024 * 1024
"""A multipart field other than the video: prompts on many frames are some 100 KiB."""

MAX_PARTS = 32
"""Parts of a multipart request: the endpoint knows seven fields."""

UPLOAD_TIMEOUT = 600.0
"""To send a video: MAX_VIDEO at 7 Mbit/s."""

FETCH_TIMEOUT = 120.0
"""To fetch a video from a URL, from the first name looked up to the last byte."""

FETCH_SILENCE = 20.0
"""A server that sends nothing for so long has hung."""

MAX_REDIRECTS = 5
"""Of a URL: link shorteners and storage services need one to three."""

MAX_DURATION = 3600.0
"""Of a job's video: at the embedded model's speed on two cores, hours of work."""

MAX_FRAME_RATE = 250
"""Pictures for each second of a job's video, and for one second more: phones' slow motion has 240.
A second is one credit, however many pictures it has."""

MAX_PIXELS = 4096 * 2304
"""Of a job's picture, 4K video and a little more."""

MAX_JOB_PROMPTS = 1000
"""Prompts of one job, over all its frames."""

MAX_QUEUED_JOBS = 64
"""Jobs that wait or run, of all keys together: each holds its video on the disk."""

MAX_INCOMING = 8
"""Requests whose video is being received, fetched or looked at; each takes MAX_VIDEO of disk."""

MAX_PROBES = 2
"""Videos looked at at the same time, before they are jobs; others wait their turn."""

MIN_FREE_DISK = 1024 * 1024 * 1024
"""Left on the disk, else no job is taken: what runs must be able to finish."""

PROBE_TIMEOUT = 60.0
"""To read through a video's packets, which are not decoded; also its process's CPU time."""

PROBE_MEMORY = 2 * 1024**3
"""Address space of the process that looks at an unknown file first."""

JOB_MEMORY = 6 * 1024**3
"""Address space of a job with the embedded model: with all exports and one object, 1.5 GiB at 720p
and 3.8 GiB at 4K."""

BIG_JOB_MEMORY = 16 * 1024**3
"""What a job with a full model or a detector may write to, since PyTorch reserves far more than it
uses; without a limit on CUDA, whose driver maps the GPU's memory too."""

JOB_STALL = 900.0
"""A job that finishes no picture for so long hangs. It runs when nothing else does, and compiling a
full model takes minutes."""

JOB_TIME = 120.0
"""Seconds of CPU time for each second of video, and for the start, after which a job with the
embedded model is ended."""

SLOW_JOB_TIME = 3600.0
"""The same with a full model or a detector: 120 seconds for each of 30 pictures. On a CPU the
smallest one takes some 20."""

MAX_JOB_STARTS = 3
"""Times that a job is started, should the server die while it runs."""

CALL_KEPT = 600.0
"""The result of a call that has been answered: for a client that reads slowly."""

MAX_WAITING_CLIENTS = 64
"""Connections that follow jobs' progress at the same time."""

MAX_FOUND = 8
"""Things that one phrase finds in a picture: each costs a decoder pass."""

MAX_SEARCHES = 8
"""Searches for phrases that wait for the detector, of all sessions: each takes 0.1 s on a GPU and 5
on a CPU, and what waits longer is of a picture that nobody sees any more."""

SEARCH_TIMEOUT = 300.0
"""For one search, loading the detector included; on a busy machine it takes a minute."""

MAX_BATCH = 8
"""Sessions in one step on CUDA. On a CPU it is one: nano takes 45 ms for one session and 4 x 73 ms
for four, in a batch or one after the other, but in a batch every mask is as old as all four."""

MAX_CAMERAS = 16
"""Cameras of one server: each is a session and a process that decodes."""

MAX_CAMERA_VIEWERS = 32
"""Peers and browsers that only watch; each costs an encoder."""

MAX_ADDRESS = 2048
"""Characters of a camera's address: what browsers and FFmpeg pass."""

MAX_CAMERA_BODY = 16 * 1024
"""A camera as JSON."""

MAX_CAMERA_FILE = 1024 * 1024
"""The file of all cameras."""

OPEN_TIMEOUT = 4.5
"""To connect to a camera: a far one takes half a second, a dead one shows within 5."""

FIRST_PACKET = 3.0
"""From RTSP's PLAY to the first packet; then a firewall keeps UDP out."""

FIRST_PICTURE = 12.0
"""From the first packet to the first picture: cameras send a key frame every 1 to 10 s."""

FROZEN_AFTER = 1.5
"""A live camera without a picture for so long is shown as frozen."""

SOURCE_SILENCE = 4.0
"""Then it is given up and connected anew: to be noticed within 5 s, checks included."""

SHORTEST_WAIT = 0.5
LONGEST_WAIT = 30.0
"""Between two tries to connect: doubled from the one to the other, less a random half."""

PERMANENT_WAIT = 120.0
"""Between tries that will fail until a person mends something: cameras lock an account that
sends a wrong password more often."""

STEADY_AFTER = 10.0
"""A camera that was live for so long starts with the shortest wait again."""

MAX_JPEG_RATE = 60
"""Pictures a second of motion JPEG."""

PICTURE_WAIT = 5.0
"""How long a snapshot waits for a picture: as long as it takes to notice that none comes."""

READ_TIMEOUT = 10.0
"""A viewer of motion JPEG that fetches nothing for so long is gone."""

RECORD_FRAGMENT = 2.0
"""Seconds of a recording that a crash can take, and between its key frames."""

RECORD_SECONDS = 600.0
"""A recording goes on in another file after so long."""

RECORD_SOUND = 250
"""Frames of sound, of 20 ms, that wait for the picture that they are written with: five seconds, in
which a disk that is slow may catch up."""

RECORD_SOUND_WAIT = 0.5
"""For the first sound of what says that it has some: a file that is begun has to know."""

RECORD_LATE = 0.5
"""Seconds by which sound may come after the pictures that it belongs to and still be in their file:
more than networks hold back."""

RECORD_BYTES = 20 * 1024**3
"""A camera's recordings together, and those of all sessions; the oldest make room."""

RECORD_FREE = 256 * 1024**2
"""Left free on the disk, for the system it belongs to."""

RECORD_RETRY = 15.0
"""After a disk was full or failed."""

RECORD_REMEMBERED = 1000
"""Files of one recording that can be fetched: a week of them."""

MAX_DOWNLOADABLE = 256
"""Recordings that can be fetched; of more, those begun first no longer can."""

DOWNLOADABLE_FOR = 86_400.0
"""Seconds after its end in which a recording can be fetched."""

MAX_DOWNLOADS = 8
"""Recordings on their way at once: more would only take the disk from each other."""

MAX_SOUND_RATE, MAX_SOUND_CHANNELS = 192_000, 8
"""Of a camera's sound: what studios use, and cameras do not."""

MAX_READ_SOUND = 50
"""Frames of a camera's sound (20 ms) on their way to the server: they only collect while its event
loop stands still, and then the newest matter."""

MAX_EARLY_SOUND = 150
"""Frames of a film's sound that wait for their pictures: three seconds."""

MAX_HELD_BYTES = 8 * 1024 * 1024
"""Of a film's pictures that wait until the sound that belongs to them was read: a second of 64
Mbit/s."""

READER_START = 20.0
"""For a camera's reading process to start, on a machine that is busy."""

MAX_WAITING_PACKETS = 1024
"""Video packets that wait for one that is missing: 150 ms at 8 Mbit/s are 120, and a keyframe may
come in one burst."""

MAX_WAITING_PICTURES, MAX_WAITING_SOUND = 4, 50
"""Decoded pictures and frames of sound (20 ms) that wait for the event loop, which takes them at
once: they only collect while it stands still, and then the newest matter."""

MAX_VIEWER_PICTURES = 6
"""Encoded pictures that wait for one viewer, 200 ms of them: then it goes on at a keyframe."""

JPEG_BUFFER = 64 * 1024
"""Bytes that the kernel is asked to keep for a viewer of JPEG: one picture or two."""

MAX_AGE = 0.200
"""Seconds after which a picture is not worth being sent any more. With what encoding takes longer
than expected, up to 60 ms on a machine that has just lost a core, and what a peer needs to decode
and show it, up to 30, it is no older than 300 ms. With 0.250 a few were, 338 at worst."""

MAX_BITRATE_SETTING = 8_000_000
"""Bits per second of a returned picture: more shows no difference at 1080p."""

LIVE_COUNT_INTERVAL = 10.0
"""Between two counts of live sessions' time: what a server that is killed forgets of it, and what a
session gets beyond its key's day."""

MAX_TOKEN_SECONDS = 86_400
"""A session token lasts a day at most; what is to last longer is a key."""

MAX_TOKEN_BODY = 1024
"""Of a request for one."""

MAX_CONFIG = 1024 * 1024
"""A configuration file: a few KiB; TOML that is larger was not written by a person."""

CHECK_TIMEOUT = 2.0
"""For one check of /healthz: a disk that hangs must not make the answer hang."""

MIN_DISK_FREE = 64 * 1024 * 1024
"""On the disk of a folder that is written to: less is full within one recording or upload."""

MAX_PUBLICATIONS = 4
"""Targets that one stream is published to at once: each takes a viewer's place and a process."""

PUBLISH_OPEN = 10.0
"""To connect to a target and be let in: a far RTMP server takes two seconds."""

PUBLISH_GOODBYE = 1.0
"""In which a target is told that the stream has ended."""

SRT_CONNECT = 3.0
"""To connect by SRT, which asks four times a second, to all of a host's addresses: less than
OPEN_TIMEOUT, so that the reason is told."""

MAX_SRT_LATENCY = 10_000
"""Milliseconds that a receiver by SRT may wait for what was lost. What was meant as microseconds is
more."""

PUBLISH_SILENCE = 5.0
"""A target that takes no more pictures for so long is given up and connected to anew."""

PUBLISH_WINDOW = 4
"""Pictures on their way through the process that sends them: the rest waits, and is dropped, where
it can be counted."""

PUBLISH_SOUND_WINDOW = 25
"""Frames of sound, of 20 ms, on their way through that process: as long as the sound is that
PUBLISH_BUFFER holds back with the pictures; what comes on top is dropped."""

SOUND_SILENCE = 1.0
"""A source whose last sound was so long ago has none: a connection is begun without."""

PUBLISH_KEYFRAME = 2.0
"""Seconds between two key frames of what cannot ask for them (RTSP, RTMP, SRT): who begins to watch
behind the target waits no longer, and services that cut the stream into files ask for 2."""

PUBLISH_BUFFER = 128 * 1024
"""Of the socket to a target, where the kernel would take megabytes: at 2 Mbit/s half a second, not
ten, that a slow network can hold back before pictures are dropped."""

"""FFmpeg's own WHIP muxer, by PyAV: publishes a bright square on a dark ground, and a tone.

usage: ffmpeg_publisher.py URL SECONDS [TOKEN]; prints a line when pictures go out.
"""

import sys
import time
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

RATE = 30
WIDTH, HEIGHT = 640, 360


def write_certificate(folder):
    """GnuTLS, inside PyAV, wants a P-256 certificate in files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "publisher")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = serialization.PrivateFormat.TraditionalOpenSSL
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, private, serialization.NoEncryption()))


def picture(index):
    pixels = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    pixels[120:240, 260:380] = (230, 230, 60)
    frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="yuv420p")
    frame.pts, frame.time_base = index, Fraction(1, RATE)
    return frame


def sound(index):
    tone = (np.sin(np.arange(1920) // 2 / 48_000 * 2 * np.pi * 450) * 8000).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(tone[None], "s16", "stereo")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, index * 960, Fraction(1, 48_000)
    return frame


def publish(url, seconds, folder, token=None):
    options = {
        "cert_file": str(folder / "cert.pem"),
        "key_file": str(folder / "key.pem"),
        "whip_flags": "dtls_active",
    }
    if token:
        options["authorization"] = token
    with av.open(url, "w", format="whip", options=options) as output:
        # x264's own profile, High, as whoever names none has it.
        video = output.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "high", "g": "30"}
        audio = output.add_stream("libopus", rate=48_000, layout="stereo")
        began, sounds = time.monotonic(), 0
        for index in range(int(seconds * RATE)):
            for packet in video.encode(picture(index)):
                output.mux(packet)
            while sounds * 0.02 < index / RATE:
                for packet in audio.encode(sound(sounds)):
                    output.mux(packet)
                sounds += 1
            if index == 0:
                print("publishing", flush=True)
            time.sleep(max(began + index / RATE - time.monotonic(), 0))


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        write_certificate(Path(temporary))
        publish(sys.argv[1], float(sys.argv[2]), Path(temporary), *sys.argv[3:])

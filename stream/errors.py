"""Every error that a user can cause or meet.

SegstreamError
├── InputError           what was given cannot be used
│   ├── PromptError      a point, box or mask that does not fit the picture
│   │   └── UnknownObject
│   ├── EffectError      an effect, colour or background that does not exist
│   ├── MediaError       a file or picture that cannot be read or written
│   └── OfferError       an SDP offer that cannot be answered
│       └── NoVideo      it is well-formed, but sends no pictures
├── LimitError           a limit of stream.limits was passed
│   ├── Busy             the server has no room for another session
│   └── TooMany          a key has used what it may at once, or in a day
├── KeyRefused           a key that is missing, unknown or revoked
├── NoCredits            a key has fewer credits than the video is long
└── ModelError           a model or its weights cannot be used

A message names what was given, what was wanted and how to mend it.
"""


class SegstreamError(Exception):
    """Base of all errors; `code` is what programs test for."""

    code = "error"


class InputError(SegstreamError):
    code = "bad_input"


class PromptError(InputError):
    code = "bad_prompt"


class UnknownObject(PromptError):
    code = "unknown_object"


class EffectError(InputError):
    code = "bad_effect"


class MediaError(InputError):
    code = "bad_media"


class OfferError(InputError):
    code = "bad_offer"


class NoVideo(OfferError):
    code = "no_video"


class LimitError(SegstreamError):
    code = "limit"


class Busy(LimitError):
    """retry_after: seconds after which it is worth to ask again."""

    code = "busy"

    def __init__(self, message: str, retry_after: int = 10) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooMany(Busy):
    code = "too_many"


class KeyRefused(SegstreamError):
    code = "bad_key"


class NoCredits(SegstreamError):
    code = "no_credits"


class ModelError(SegstreamError):
    code = "bad_model"

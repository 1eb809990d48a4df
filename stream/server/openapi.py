"""GET /openapi.json: the REST interface, for people and for programs that write clients."""

from typing import Any

from aiohttp import web

from stream import __version__
from stream.compose.effects import EFFECTS, FITS, TARGETS
from stream.jobs.request import FILES, MAX_FRAME, MAX_OBJECT
from stream.jobs.store import CANCELLED, DONE, FAILED, QUEUED, RUNNING
from stream.limits import (
    MAX_EFFECTS,
    MAX_JOB_PROMPTS,
    MAX_OBJECTS,
    MAX_TOKEN_SECONDS,
    MAX_WORD,
)
from stream.server.session_tokens import SECONDS

Schema = dict[str, Any]

REASONS = {
    400: "the request cannot be understood",
    401: "the key is missing, unknown or revoked",
    403: "another web site's page sent it",
    404: "there is no such job or file",
    406: "the key has too few credits",
    408: "the body took too long",
    409: "the job has not ended well, so it has no results",
    413: "the video, a picture of it or the body is too large or too long",
    415: "the body is neither JSON nor multipart",
    422: "the video cannot be read, or a prompt does not fit it",
    429: "the key has too many jobs, or has used its day's share",
    500: "a fault of the server; the message holds an id that is in its log",
    503: "too much is waiting; see Retry-After",
}

POINT: Schema = {
    "type": "array",
    "items": {"type": "number", "minimum": -1e6, "maximum": 1e6},
    "minItems": 2,
    "maxItems": 2,
    "description": "[x, y] in pixels of the upright picture, from its upper left corner",
}
POINTS: Schema = {"type": "array", "items": POINT}
PROMPT: Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "object": {"type": "integer", "minimum": 1, "maximum": MAX_OBJECT, "default": 1},
        "frame": {"type": "integer", "minimum": 0, "maximum": MAX_FRAME, "default": 0},
        "text": {"type": "string", "minLength": 1, "maxLength": MAX_WORD},
        "box": {**POINTS["items"], "minItems": 4, "maxItems": 4, "description": "[x0, y0, x1, y1]"},
        "point": POINT,
        "points": POINTS,
        "negative": {**POINTS, "description": "points that are not on the object"},
    },
    "anyOf": [{"required": [name]} for name in ("text", "box", "point", "points", "negative")],
}
ONE_EFFECT: Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "enum": list(EFFECTS), "default": "overlay"},
        "strength": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.5},
        "colour": {
            "type": ["string", "null"],
            "pattern": "^#[0-9a-fA-F]{6}$",
            "description": "of colour, overlay, contour and glow",
        },
        "background": {"type": "string", "description": "a name from GET /backgrounds"},
        "target": {"type": "string", "enum": list(TARGETS)},
        "objects": {
            "type": "array",
            "items": {"type": "integer", "minimum": 0},
            "minItems": 1,
            "maxItems": MAX_OBJECTS,
            "description": "numbers of those that it is for; all without it",
        },
        "fit": {"type": "string", "enum": list(FITS), "default": "cover"},
        "position": {
            "type": "array",
            "items": {"type": "number", "minimum": 0, "maximum": 1},
            "minItems": 2,
            "maxItems": 2,
        },
    },
}
EFFECT: Schema = {
    "anyOf": [
        {"type": "string", "enum": list(EFFECTS)},
        ONE_EFFECT,
        {"type": "array", "items": ONE_EFFECT, "minItems": 1, "maxItems": MAX_EFFECTS},
    ],
    "description": "several are put on one over the other, the first at the bottom",
}
WORK: Schema = {
    "prompts": {"type": "array", "items": PROMPT, "minItems": 1, "maxItems": MAX_JOB_PROMPTS},
    "effect": EFFECT,
    "model": {
        "type": "string",
        "maxLength": MAX_WORD,
        "description": "one of those that the operator has, as NAME or NAME@SIZE; status 422 "
        "lists them",
    },
    "exports": {
        "type": "array",
        "items": {"type": "string", "enum": list(FILES)},
        "minItems": 1,
        "default": ["video"],
    },
}
URL_OR_DATA = "an http or https URL, or a data: URI of a video type"
COORDINATES: Schema = {
    "anyOf": [{"type": "string"}, POINT, POINTS],
    "description": "[x, y] or [[x, y], …], or that as text; of the first picture",
}
HOSTED: Schema = {
    "prompt": {"type": "string", "description": "a word; coordinates are ignored then"},
    "coordinates": COORDINATES,
    "remove_coordinates": COORDINATES,
    "overlay_mask": {
        "type": "boolean",
        "default": True,
        "description": "true: the video with the mask over it; false: the mask, white on black",
    },
}
JOB: Schema = {
    "type": "object",
    "required": ["id", "state", "progress", "eta", "results", "error"],
    "properties": {
        "id": {"type": "string"},
        "state": {"type": "string", "enum": [QUEUED, RUNNING, DONE, FAILED, CANCELLED]},
        "created": {"type": "number", "description": "seconds since 1970"},
        "finished": {"type": ["number", "null"]},
        "duration": {"type": "number", "description": "seconds of video"},
        "model": {"type": "string"},
        "frames": {"type": "integer"},
        "frames_done": {"type": "integer"},
        "progress": {"type": "number", "minimum": 0, "maximum": 1},
        "eta": {"type": ["number", "null"], "description": "seconds left"},
        "error": {
            "type": ["object", "null"],
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        },
        "results": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "url": {"type": "string"},
                    "bytes": {"type": "integer"},
                },
            },
        },
    },
}
ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        }
    },
}
REMAINING: Schema = {
    "x-remaining-credits": {
        "schema": {"type": "string"},
        "description": "seconds of video that the key has left; Infinity without limit",
    }
}


def document() -> Schema:
    """OpenAPI 3.1."""
    submitted = (400, 401, 403, 406, 408, 413, 415, 422, 429, 500, 503)
    job = {"application/json": {"schema": {"$ref": "#/components/schemas/Job"}}}
    jobs = {"type": "object", "properties": {"jobs": {"type": "array", "items": _ref("Job")}}}
    mp4 = {"video/mp4": {"schema": {"type": "string", "contentMediaType": "video/mp4"}}}
    anything: Schema = {"*/*": {"schema": {}}}
    follow = {"text/event-stream": {"schema": {"type": "string"}}}
    found = (401, 404)
    return {
        "openapi": "3.1.0",
        "info": {"title": "segstream", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": {
            "/v1/sam-v2-video": {
                "post": _operation(
                    "one request, one video back",
                    (200, "the video, with its sound", mp4),
                    (*submitted, 404, 409),
                    _body("input_video", HOSTED, []),
                )
            },
            "/jobs": {
                "post": _operation(
                    "queue a video, with prompts as below or as the hosted endpoint takes them",
                    (202, "the job", job),
                    submitted,
                    _body("input", WORK | HOSTED, []),
                ),
                "get": _operation(
                    "the key's newest jobs",
                    (200, "the jobs", {"application/json": {"schema": jobs}}),
                    (401,),
                ),
            },
            "/jobs/{id}": {
                "parameters": [_parameter("id")],
                "get": _operation("a job", (200, "the job", job), found),
                "delete": _operation(
                    "cancel a job, or remove one that has ended", (204, "done", None), (403, *found)
                ),
            },
            "/jobs/{id}/events": {
                "parameters": [_parameter("id")],
                "get": _operation(
                    "Server-Sent Events: progress, then the state in which it ended",
                    (200, "events whose data is the job", follow),
                    (*found, 503),
                ),
            },
            "/jobs/{id}/result": {
                "parameters": [_parameter("id")],
                "get": _operation("its first result", (200, "the file", anything), (*found, 409)),
            },
            "/jobs/{id}/result/{name}": {
                "parameters": [_parameter("id"), _parameter("name")],
                "get": _operation("a result", (200, "the file", anything), (*found, 409)),
            },
            "/session-tokens": {"post": _token()},
        },
        "components": {
            "schemas": {"Job": JOB, "Error": ERROR},
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
        },
        "security": [{"key": []}, {}],
    }


def _operation(
    summary: str,
    good: tuple[int, str, Schema | None],
    bad: tuple[int, ...],
    body: Schema | None = None,
) -> Schema:
    status, description, content = good
    answers: Schema = {str(status): {"description": description, "headers": REMAINING}}
    if content is not None:
        answers[str(status)]["content"] = content
    for code in sorted({*bad, 500}):
        answers[str(code)] = {
            "description": REASONS[code],
            "headers": REMAINING,
            "content": {"application/json": {"schema": _ref("Error")}},
        }
    operation = {"summary": summary, "responses": answers}
    return operation if body is None else {**operation, "requestBody": body}


def _token() -> Schema:
    seconds = {"type": "integer", "minimum": 1, "maximum": MAX_TOKEN_SECONDS, "default": SECONDS}
    wanted = {"type": "object", "properties": {"seconds": seconds}}
    token = {
        "type": "object",
        "required": ["token", "expires", "expires_in"],
        "properties": {
            "token": {"type": "string"},
            "expires": {"type": "integer", "description": "seconds since 1970"},
            "expires_in": {"type": "integer", "description": "seconds"},
        },
    }
    made = {"application/json": {"schema": token}}
    operation = _operation(
        "a session token of the key, which opens live sessions for a while",
        (201, "the token", made),
        (400, 401, 403, 408, 413),
    )
    for answer in operation["responses"].values():
        del answer["headers"]
    body = {"content": {"application/json": {"schema": wanted}}}
    return {**operation, "requestBody": body, "security": [{"key": []}]}


def _body(video: str, fields: Schema, required: list[str]) -> Schema:
    """As JSON with a URL, or as multipart with the file; other fields are JSON texts there."""
    url = {"type": "string", "minLength": 1, "description": URL_OR_DATA}
    file = {"type": "string", "contentMediaType": "application/octet-stream"}
    texts = {name: {"type": "string"} for name in fields}
    needed = [video, *required]
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": needed,
                    "properties": {video: url} | fields,
                }
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": needed,
                    "properties": {video: file} | texts,
                }
            },
        },
    }


def _parameter(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


async def get(request: web.Request) -> web.Response:
    return web.json_response(document())

"""Every limit on what somebody else can make the gateway or the control API hold, wait for, or believe.

Sizes are in bytes, times in seconds. The sum of what the gateway may hold is in the README of its chart.
"""

from __future__ import annotations

# --- a connection, before anybody is known ---
CONNECTIONS = 1000
"""Open at once; beyond, whoever has asked nothing for longest makes room."""
HEALTH_CONNECTIONS = 64
"""The same for the health port, which asks for no key."""
SPARE_FILES = 64
"""Open files that connections of clients leave for engines, the database and the health port."""
HEAD_BYTES = 32 << 10
"""A request's line and headers together; as much of trailers."""
HEAD_LINES = 128
"""Header lines of a request: each costs some hundred bytes beyond its own."""
HEAD_SECONDS = 20.0
"""From the first byte (or from connecting) until the headers are whole; also a TLS handshake."""
PIPELINED = 8
"""Requests that a connection may send before the first of them is answered."""
KEEP_ALIVE_SECONDS = 75
"""What an answered connection may wait before it asks again."""
LINGER_SECONDS = 30.0
"""How long the rest of a body is read after its answer, so that the client reads the answer."""
WRITE_SECONDS = 60.0
"""A client must take WRITE_BYTES of a waiting answer within this time."""
WRITE_BYTES = 16 << 10

# --- a request's body ---
BODY_SECONDS = 60.0
"""Until the whole body is there."""
SMALL_BYTES = 32 << 10
"""What every request may hold beside all other limits: a small one always finds room."""
JSON_VALUES = 250_000
"""Values and keys in one document; each may cost a hundred times its bytes."""
JSON_DEPTH = 100
"""Lists and objects inside of each other."""
PROMPTS = 10_000
"""Answers that one request may ask for: its prompts times `n`."""
MOST_COUNT = (1 << 31) - 1
"""The largest number that is believed: of tokens in an answer, or as a bound in a request."""
MOST_COST = 10**15
"""The most that one request can cost, in billionths of the site's currency: a million."""
MOST_STORED = (1 << 63) - 1
"""What a column of the database holds."""

# --- an upstream's answer ---
EARLY_ANSWERS = 16
"""Answers of the kind 1xx before the one that counts."""
ANSWER_BYTES = 8 << 20
"""A whole answer that is put into another form, and the text of a streamed one that is said again."""
ANSWERS_BYTES = 32 << 20
"""What all such answers may hold together."""
FRAME_BYTES = 4 << 20
"""One event of a stream that is put into another form."""
LOOK_BYTES = 64 << 10
"""The beginning and the end of a passing answer that are looked at for its counts."""
ERROR_BYTES = 64 << 10
"""An error document: so much of it is read."""
LISTED_BYTES = 1 << 20
"""What an engine says of its models, or of itself."""
UNPACKED_PIECE_BYTES = 64 << 10
"""What is unpacked at once of a compressed body or answer."""
SILENCE_SECONDS = 900.0
"""Until the first byte, and between two: a model may be loaded or a long prompt read."""
ANSWER_SECONDS = 7200.0
"""A whole answer, from asking to its last byte."""
LOOK_SECONDS = 5.0
"""A question to an engine about itself."""

# --- what is kept of many ---
WAITING_REQUESTS = 256
"""Requests that wait for one model without a replica."""
RECORDS = 10_000
"""Usage and audit lines on their way to the database; about 10 MiB."""
REMEMBERED = 10_000
"""Rates by key and team, and refusals that were written down in the last minute."""
UNKNOWN_FIELDS = 1000
"""Models of providers of which it is remembered what they do not take."""

CONFIG_BYTES = 1 << 20
"""A file of settings; one in YAML has the limits of a site file besides."""

# --- the control API ---
API_BODY_BYTES = 64 << 10
"""Everything the API takes fits into this many times over."""
API_ANSWER_PARTS = 1000
"""Rows of a page, at most."""
API_LOOKS = 8
"""Looks at hosts and clusters at once, which may take a minute each; who asks for more waits in a row."""

# --- states of the cluster's objects, for Prometheus ---
STATE_SERIES = 18_000
"""Samples that are served: those of about 600 pods. Prometheus takes 20,000."""
STATE_OBJECTS = 100
"""Objects of the cluster that are read at once; one may have up to 1.5 MiB, and most are far smaller."""

# --- the portal ---
STREAMS = 64
"""Pages that are live at once."""
STREAMS_A_VISITOR = 8
"""The same for one visitor."""
STREAM_SECONDS = 60.0
"""How long a stream lasts before the browser asks again, and is asked again who it is."""
STREAM_LOOK_SECONDS = 1.0
"""The least between two looks for a live page."""
LOG_LOOKS = 4
"""Looks at logs at once; who asks for more waits in a row."""
LOG_PODS = 20
"""Pods of a component that are read, the newest."""
LOG_READ = 5000
"""Lines of a container that are looked through, the newest."""
LOG_BYTES = 4 << 20
"""What is read of a container in one look."""
LOG_SHOWN = 500
"""Lines on a page, and in one event of a live one."""
LOG_TEXT = 4000
"""Characters of a line that are shown."""
EVENTS_LISTED = 500
"""Events that are read of a namespace."""
EVENTS_SHOWN = 50
"""Those on a page, the newest."""

# --- the site's sign-in ---
TOKEN_BYTES = 16 << 10
"""A token that somebody shows: half of what a request's headers may have."""
ISSUER_BYTES = 1 << 20
"""An answer of the issuer."""
ISSUER_KEYS = 64
"""Keys of an issuer that are kept."""
ISSUER_FRESH_SECONDS = 3600.0
"""How long the issuer's keys and description are believed before they are asked for again."""
ISSUER_RETRY_SECONDS = 30.0
"""The least between two questions that tokens with an unknown key, or an issuer that is away, make us ask."""
DIRECTORY_BYTES = 8 << 20
"""Everybody whom the site's own sign-in knows: some 200 bytes each."""
DIRECTORY_SECONDS = 20.0
"""A question to it about people; a replica that starts holds changes off for a moment."""
PEOPLE_SECONDS = 15.0
"""How often the portal looks whom the sign-in removed, locked, or put into other groups."""
GROUPS_TOLD_SECONDS = 8 * 3600
"""How long the groups that somebody signed in with count for tokens that tell none: a working day."""

# --- tasks in the background ---
RESTART_SECONDS = 1.0
LONGEST_RESTART_SECONDS = 30.0
"""The pause after a task in the background failed, doubled each time in a row."""
END_SECONDS = 5.0
"""How long a service that stops waits for each of its parts to end."""

"""A mail server in miniature: one identity, which it reads from its environment when it starts."""

import hashlib
import os
import socket

from fastmcp import Context, FastMCP

TOKEN = os.environ.get("USER_ACCESS_TOKEN", "")
FINGERPRINT = hashlib.sha256(TOKEN.encode()).hexdigest()[:12] if TOKEN else "none"

mcp = FastMCP("gmail")


def greeting(port: int) -> str | None:
    """What a service of this machine says to whoever connects."""
    try:
        with socket.create_connection(("localhost", port), timeout=5) as connection:
            return connection.recv(100).decode() or None
    except OSError:
        return None


@mcp.tool
def services() -> dict:
    """The services that the settings name, and one that they do not name."""
    return {str(port): greeting(port) for port in (8030, 8031, 1025, 8032)}


@mcp.tool
def whoami() -> dict:
    """The token as a fingerprint, and the environment: names of all, values of what the config sets."""
    shown = ("API_PROXY_URL", "AUTH_API_URL", "MAILPIT_SMTP_HOST")
    return {
        "fingerprint": FINGERPRINT,
        "names": sorted(os.environ),
        "settings": {name: os.environ.get(name) for name in shown},
        "pid": os.getpid(),
    }


@mcp.tool
def echo(text: str) -> str:
    """Says it again."""
    return text


@mcp.tool
async def count(to: int, ctx: Context) -> int:
    """Counts, and reports each step as progress."""
    for step in range(1, to + 1):
        await ctx.report_progress(step, to)
    return to


@mcp.resource("mail://inbox")
def inbox() -> str:
    """The inbox of whoever the token belongs to."""
    return f"inbox of {FINGERPRINT}"


@mcp.resource("mail://message/{number}")
def message(number: str) -> str:
    """One message."""
    return f"message {number} of {FINGERPRINT}"

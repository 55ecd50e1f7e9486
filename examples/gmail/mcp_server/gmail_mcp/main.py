"""A mail server for one person. Whose it is, its environment says when it starts:

    USER_ACCESS_TOKEN   opens the person's mailbox
    AUTH_API_URL        GET /me        -> {"email": "alice@example.com"}
    API_PROXY_URL       GET /messages  -> [{"from": "...", "subject": "..."}, ...]
    MAILPIT_SMTP_HOST   takes mail, on port MAILPIT_SMTP_PORT (1025)

By hand:  USER_ACCESS_TOKEN=tok_alice python3 gmail_mcp/main.py --transport sse --port 8841

Needs nothing but Python 3.8. Servers that are more than an example use an MCP library.
"""

import argparse
import json
import os
import queue
import secrets
import smtplib
import sys
import urllib.parse
import urllib.request
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = os.environ.get("USER_ACCESS_TOKEN", "")
AUTH_API = os.environ.get("AUTH_API_URL", "http://localhost:8030")
MAIL_API = os.environ.get("API_PROXY_URL", "http://localhost:8031")
SMTP = (
    os.environ.get("MAILPIT_SMTP_HOST", "localhost"),
    int(os.environ.get("MAILPIT_SMTP_PORT", "1025")),
)
VERSIONS = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]
TIMEOUT_SECONDS = 10
HEARTBEAT_SECONDS = 15


# The tools.


def get(url):
    """Asks a service in the person's name."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        return json.load(response)


def whoami():
    return get(f"{AUTH_API}/me")["email"]


def list_messages(limit=20):
    return get(f"{MAIL_API}/messages?limit={int(limit)}")


def send_message(to, subject, text):
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = whoami(), to, subject
    message.set_content(text)
    with smtplib.SMTP(*SMTP, timeout=TIMEOUT_SECONDS) as smtp:
        smtp.send_message(message)
    return f"sent to {to}"


def tool(run, description, required=(), **properties):
    schema = {"type": "object", "properties": properties, "required": list(required)}
    listed = {"name": run.__name__, "description": description, "inputSchema": schema}
    return run.__name__, {"run": run, "listed": listed}


TEXT = {"type": "string"}
TOOLS = dict(
    [
        tool(whoami, "The address of the person whose mail this is"),
        tool(list_messages, "The newest messages", limit={"type": "integer", "minimum": 1}),
        tool(
            send_message,
            "Sends a message",
            required=("to", "subject", "text"),
            to=TEXT,
            subject=TEXT,
            text=TEXT,
        ),
    ]
)


# The protocol: a message in, its answer out.


def initialize(params):
    asked = params.get("protocolVersion")
    return {
        "protocolVersion": asked if asked in VERSIONS else VERSIONS[0],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "gmail", "version": "1.0.0"},
    }


def call_tool(params):
    """What goes wrong in a tool is a result that says so: the model is to read it."""
    try:
        found = TOOLS[params["name"]]["run"](**params.get("arguments", {}))
        text, is_error = found if isinstance(found, str) else json.dumps(found), False
    except Exception as error:
        text, is_error = f"{type(error).__name__}: {error}", True
    return {"content": [{"type": "text", "text": text}], "isError": is_error}


METHODS = {
    "initialize": initialize,
    "ping": lambda params: {},
    "tools/list": lambda params: {"tools": [one["listed"] for one in TOOLS.values()]},
    "tools/call": call_tool,
}


def answer(message):
    """The answer to a message; None for a notification, which gets none."""
    if "id" not in message or "method" not in message:
        return None
    reply = {"jsonrpc": "2.0", "id": message["id"]}
    method = METHODS.get(message["method"])
    if method is None:
        return {**reply, "error": {"code": -32601, "message": "no such method"}}
    return {**reply, "result": method(message.get("params", {}))}


# The transports.


def serve_stdio():
    """One message a line. Nothing else may go to stdout; what is for people goes to stderr."""
    for line in sys.stdin:
        reply = answer(json.loads(line))
        if reply is not None:
            print(json.dumps(reply), flush=True)


class SseHandler(BaseHTTPRequestHandler):
    """HTTP with SSE: requests come as POSTs, their answers go out on the session's stream."""

    sessions = {}

    def do_GET(self):
        if self.path != "/sse":
            return self.send_error(404)
        session, replies = secrets.token_urlsafe(), queue.Queue()
        self.sessions[session] = replies
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            self.send_event("endpoint", f"/messages?session_id={session}")
            while True:
                try:
                    self.send_event("message", json.dumps(replies.get(timeout=HEARTBEAT_SECONDS)))
                except queue.Empty:
                    self.wfile.write(b":\n\n")
        except OSError:
            pass  # The client has left.
        finally:
            del self.sessions[session]

    def do_POST(self):
        url = urllib.parse.urlsplit(self.path)
        session = urllib.parse.parse_qs(url.query).get("session_id", [""])[0]
        replies = self.sessions.get(session)
        if url.path != "/messages" or replies is None:
            return self.send_error(404)
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()
        reply = answer(message)
        if reply is not None:
            replies.put(reply)

    def send_event(self, name, data):
        self.wfile.write(f"event: {name}\ndata: {data}\n\n".encode())

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser(description="A mail server for one person")
    parser.add_argument("--transport", choices=["stdio", "sse"], default="stdio")
    parser.add_argument("--port", type=int, default=8841)
    options = parser.parse_args()
    if options.transport == "stdio":
        serve_stdio()
    else:
        ThreadingHTTPServer(("127.0.0.1", options.port), SseHandler).serve_forever()


if __name__ == "__main__":
    main()

"""One student in front of a served workbench: Bokeh's protocol by hand, on loopback, without drawing anything.

A browser would parse and draw; here only what the server is asked, and when it answers, matters. All bytes that arrive are kept
searchable, so that a word of another student's would be found.
"""

import asyncio
import base64
import gzip
import html
import json
import re
import time
import uuid
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

PATIENCE = 600.0


def plain(value: Any, buffers: dict[str, bytes]) -> Any:
    """A value of Bokeh's wire format as JSON values and bytes."""
    if isinstance(value, list):
        return [plain(one, buffers) for one in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") == "map":
        return {plain(k, buffers): plain(v, buffers) for k, v in value.get("entries", [])}
    if value.get("type") == "bytes":
        data = value["data"]
        return gzip.decompress(base64.b64decode(data)) if isinstance(data, str) else buffers.get(data.get("id"), b"")
    return {k: plain(v, buffers) for k, v in value.items()}


def wired(value: Any) -> Any:
    """JSON values and bytes in Bokeh's wire format."""
    if isinstance(value, bytes):
        return {"type": "bytes", "data": base64.b64encode(gzip.compress(value)).decode()}
    if isinstance(value, dict):
        return {"type": "map", "entries": [[k, wired(v)] for k, v in value.items()]}
    return [wired(one) for one in value] if isinstance(value, list) else value


class Student:
    """A visitor with a workbench of their own.

    Parameters
    ----------
    number : int
    port : int
        Of the server, on 127.0.0.1.
    app : str
        Path of the workbench there.
    """

    def __init__(self, number: int, port: int, app: str = "/app") -> None:
        self.number, self.address = number, f"127.0.0.1:{port}{app}"
        self.welcome = False
        self.hosts: list[str] = []
        self.views: dict[str, dict[str, Any]] = {}
        """The state of each view, by the id of what holds it."""
        self.heard: list[str] = []
        self.answers: dict[str, Any] = {}
        self._news = asyncio.Condition()

    async def open(self) -> float:
        """Load the page, connect, take the document and greet every view; gives the seconds until all have answered."""
        begin = time.perf_counter()
        page = await AsyncHTTPClient().fetch(HTTPRequest(f"http://{self.address}", request_timeout=PATIENCE, connect_timeout=PATIENCE))
        token = re.search(r'"token":"([^"]+)"', html.unescape(page.body.decode()))
        assert token is not None, "the page holds no session"
        self.socket = await websocket_connect(
            HTTPRequest(f"ws://{self.address}/ws", request_timeout=PATIENCE, connect_timeout=PATIENCE), subprotocols=["bokeh", token[1]], max_message_size=2**28
        )
        self.reader = asyncio.create_task(self._read())
        await self.until(lambda: self.welcome)  # the server is not ready before it said so
        await self._send("PULL-DOC-REQ", {})
        await self.until(lambda: bool(self.hosts))
        for host in self.hosts:
            await self.say(host, {"method": "hello"})
        await self.until(lambda: len(self.views) == len(self.hosts))
        return time.perf_counter() - begin

    async def close(self) -> None:
        """Leave, as closing the tab does."""
        self.reader.cancel()
        self.socket.close()

    # ---- what is said and heard --------------------------------------------------------------------------------------

    async def until(self, true: Any) -> None:
        """Wait for something to hold."""
        async with self._news:
            await asyncio.wait_for(self._news.wait_for(lambda: true() or self.reader.done()), PATIENCE)
        if self.reader.done():
            raise RuntimeError(f"student {self.number}: the connection ended") from (None if self.reader.cancelled() else self.reader.exception())

    async def say(self, host: str, data: dict[str, Any]) -> None:
        """A message from the view that a component holds."""
        values = {"type": "map", "entries": [["model", {"id": host}], ["data", wired(data)]]}
        event = {"kind": "MessageSent", "msg_type": "bokeh_event", "msg_data": {"type": "event", "name": "data_event", "values": values}}
        await self._send("PATCH-DOC", {"events": [event]})

    async def set(self, host: str, **state: Any) -> None:
        """Change values of a view, bytes beside the others as ipywidgets has it."""
        apart = [name for name, value in state.items() if isinstance(value, bytes)]
        rest = {name: value for name, value in state.items() if name not in apart}
        await self.say(host, {"method": "update", "state": rest, "paths": [[name] for name in apart], "buffers": [state[name] for name in apart]})

    async def ask(self, host: str, key: str) -> float:
        """Ask a view's Python for an answer; gives the seconds until it came."""
        self.answers.pop(key, None)
        begin = time.perf_counter()
        await self.say(host, {"method": "custom", "content": {"type": "want", "key": key}})
        await self.until(lambda: key in self.answers)
        assert "error" not in self.answers[key], self.answers[key]
        return time.perf_counter() - begin

    def holder(self, *traits: str) -> str:
        """The component whose view has all of these values."""
        return next(host for host, state in self.views.items() if set(traits) <= set(state))

    async def _send(self, kind: str, content: dict[str, Any]) -> None:
        await self.socket.write_message(json.dumps({"msgid": uuid.uuid4().hex, "msgtype": kind}))
        await self.socket.write_message("{}")
        await self.socket.write_message(json.dumps(content))

    async def _read(self) -> None:
        """Put fragments together, and note what they say, until the server hangs up."""
        try:
            await self._hear()
        finally:
            async with self._news:
                self._news.notify_all()

    async def _hear(self) -> None:
        while (first := await self.socket.read_message()) is not None:
            head = json.loads(first)
            await self.socket.read_message()
            text = await self.socket.read_message()
            buffers = {}
            for _ in range(int(head.get("num_buffers", 0))):
                name = json.loads(str(await self.socket.read_message()))["id"]
                buffers[name] = bytes(await self.socket.read_message() or b"")
            content = json.loads(str(text))
            self.heard.append(str(text))
            self.heard.extend(part.decode("latin-1") for part in buffers.values())
            async with self._news:
                self._note(head["msgtype"], content, buffers)
                self._news.notify_all()

    def _note(self, kind: str, content: dict[str, Any], buffers: dict[str, bytes]) -> None:
        self.welcome |= kind == "ACK"
        if kind == "PULL-DOC-REPLY":
            self.hosts = _hosts(content)
        for event in content.get("events", ()) if kind == "PATCH-DOC" else ():
            if event.get("kind") != "MessageSent" or event["msg_data"].get("name") != "esm_event":
                continue
            values = plain(event["msg_data"]["values"], buffers)
            host, data = values["model"]["id"], values["data"]
            if data["method"] == "update":
                self._took(host, data)
            elif data["content"].get("type") == "answer":
                self.answers[data["content"]["key"]] = data["content"]

    def _took(self, host: str, data: dict[str, Any]) -> None:
        state = dict(data["state"])
        for path, content in zip(data["paths"], data["buffers"], strict=True):
            if len(path) == 1:
                state[path[0]] = content
        if host in self.views or "source" in data:
            self.views.setdefault(host, {}).update(state)


def _hosts(content: Any) -> list[str]:
    """Ids of the components that hold a view, wherever they are in a document."""
    found, rest = [], [content]
    while rest:
        one = rest.pop()
        if isinstance(one, dict):
            attributes = one.get("attributes")
            if isinstance(attributes, dict) and str(attributes.get("class_name", "")).startswith("Hosted"):
                found.append(one["id"])
            rest.extend(one.values())
        elif isinstance(one, list):
            rest.extend(one)
    return found

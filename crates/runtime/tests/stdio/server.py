"""An MCP server on standard streams that does what a test asks of it, and nothing that an SDK would mend.

Tools are called with arguments that say what happens. Every message that came is kept, as it came.
"""

import argparse
import json
import os
import signal
import sys
import threading
import time

flags = argparse.ArgumentParser()
flags.add_argument("--era", choices=["legacy", "modern", "both"], default="legacy")
flags.add_argument("--exit-on-probe", action="store_true")
flags.add_argument("--silent-on-probe", action="store_true")
flags.add_argument("--exit-at-once", type=int)
flags.add_argument("--deaf", action="store_true", help="outlives the end of its input")
flags.add_argument("--stubborn", action="store_true", help="outlives SIGTERM, too")
flags.add_argument("--note", help="a file that says how it ended")
flags.add_argument("--greeting", help="said on stdout before anything else")
flags = flags.parse_args()

MODERN = "2026-07-28"
META = "io.modelcontextprotocol/"
lock = threading.Lock()
seen, cancelled, answers, listens = [], [], {}, {}
subscribed = set()
level = None


def write(text):
    with lock:
        sys.stdout.buffer.write(text.encode() + b"\n")
        sys.stdout.buffer.flush()


def say(message):
    write(json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")))


def note(how):
    if flags.note:
        with open(flags.note, "a") as file:
            file.write(how + "\n")


def text(value):
    return {"content": [{"type": "text", "text": value if isinstance(value, str) else json.dumps(value)}]}


def ask(method, params):
    """A request to the client (legacy); the whole answer."""
    with lock:
        number = 100 + len(answers)
        waiting = answers[number] = {"event": threading.Event()}
    say({"id": number, "method": method, "params": params})
    waiting["event"].wait(20)
    return waiting.get("answer")


def tool(request):
    params = request["params"]
    name, arguments = params["name"], params.get("arguments", {})
    meta = params.get("_meta", {})
    if name == "echo":
        time.sleep(arguments.get("after", 0))
        return text(arguments)
    if name == "pid":
        return text(os.getpid())
    if name == "environment":
        return text({key: os.environ.get(key) for key in arguments["names"]} | {"all": sorted(os.environ)})
    if name == "read":
        with open(arguments["path"]) as file:
            return text(file.read())
    if name == "limits":
        with open("/proc/self/limits") as file:
            return text(file.read())
    if name == "group":
        return text([os.getpid(), os.getpgid(0)])
    if name == "child":
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        return text(child)
    if name == "crash":
        time.sleep(arguments.get("after", 0))
        sys.stderr.write("about to crash\n")
        sys.stderr.flush()
        os._exit(arguments.get("code", 7))
    if name == "half":
        with lock:
            sys.stdout.buffer.write(b'{"jsonrpc":"2.0","id":')
            sys.stdout.buffer.flush()
            os._exit(7)
    if name == "never":
        return None
    if name == "cancelled":
        return text(cancelled)
    if name == "seen":
        return text(seen)
    if name == "level":
        return text(level)
    if name == "subscribed":
        return text(sorted(subscribed))
    if name == "progress":
        for step in range(arguments["steps"]):
            say({"method": "notifications/progress", "params": {"progressToken": meta.get("progressToken"), "progress": step}})
        return text("done")
    if name == "log":
        say({"method": "notifications/message", "params": {"level": "info", "data": arguments["data"]}})
        time.sleep(arguments.get("after", 0))
        return text("logged")
    if name == "late log":
        def later():
            time.sleep(0.1)
            say({"method": "notifications/message", "params": {"level": "info", "data": arguments["data"]}})
        threading.Thread(target=later, daemon=True).start()
        return text("will log")
    if name == "ask":
        return text(ask(arguments["method"], arguments["params"]))
    if name == "input":
        if "inputResponses" not in params:
            return {"resultType": "input_required", "requestState": "a \"state\"", "inputRequests": {
                "who": {"method": "elicitation/create", "params": {"message": "Who?"}}}}
        return text([params["inputResponses"], params["requestState"]])
    if name == "big":
        return text("x" * arguments["size"])
    if name == "print":
        write(arguments["line"].replace("$ID", str(request["id"])))
        return text("printed") if arguments.get("answer", True) else None
    if name == "stderr":
        for _ in range(arguments.get("times", 1)):
            sys.stderr.write(arguments["line"] + "\n")
        sys.stderr.flush()
        return text("said")
    if name == "touch":
        uri = arguments["uri"]
        if uri in subscribed:
            say({"method": "notifications/resources/updated", "params": {"uri": uri}})
        for number, uris in list(listens.items()):
            if uri in uris:
                say({"method": "notifications/resources/updated", "params": {"_meta": {META + "subscriptionId": number}, "uri": uri}})
        return text("touched")
    if name == "change":
        if not listens:
            say({"method": "notifications/tools/list_changed"})
        for number in list(listens):
            say({"method": "notifications/tools/list_changed", "params": {"_meta": {META + "subscriptionId": number}}})
        return text("changed")
    if name == "end listening":
        for number in list(listens):
            say({"method": "notifications/cancelled", "params": {"requestId": number}})
        return text("ended")
    raise KeyError(name)


CAPABILITIES = {"tools": {"listChanged": True}, "resources": {"subscribe": True, "listChanged": True}, "logging": {}}


def handle(request):
    global level
    method, params = request["method"], request.get("params", {})
    modern = META + "protocolVersion" in params.get("_meta", {})
    refuse = lambda code, message: say({"id": request["id"], "error": {"code": code, "message": message}})
    if modern and flags.era == "legacy":
        if flags.exit_on_probe:
            os._exit(3)
        return None if flags.silent_on_probe else refuse(-32601, "Method not found")
    if not modern and flags.era == "modern":
        return refuse(-32601, "This server speaks " + MODERN)
    if method == "initialize":
        result = {"protocolVersion": params["protocolVersion"], "capabilities": CAPABILITIES,
                  "serverInfo": {"name": "scripted", "version": "1"}, "instructions": "pid %d" % os.getpid()}
    elif method == "server/discover":
        result = {"supportedVersions": [MODERN], "capabilities": CAPABILITIES, "instructions": "pid %d" % os.getpid()}
    elif method == "subscriptions/listen":
        wanted = params["notifications"]
        listens[request["id"]] = wanted.get("resourceSubscriptions", [])
        return say({"method": "notifications/subscriptions/acknowledged", "params": {
            "_meta": {META + "subscriptionId": request["id"]}, "notifications": wanted}})
    elif method == "tools/list":
        result = {"tools": [{"name": "echo", "inputSchema": {"type": "object"}, "unknown": 12345678901234567890}]}
    elif method == "resources/subscribe":
        subscribed.add(params["uri"])
        result = {}
    elif method == "resources/unsubscribe":
        subscribed.discard(params["uri"])
        result = {}
    elif method == "logging/setLevel":
        level = params["level"]
        result = {}
    elif method == "ping":
        result = {}
    elif method == "resources/read":
        return refuse(-32002, "Resource not found")
    elif method == "tools/call":
        try:
            result = tool(request)
        except KeyError as error:
            return refuse(-32602, "Unknown tool: %s" % error)
        if result is None:
            return None
    else:
        return refuse(-32601, "Method not found")
    if modern:
        result = {"resultType": "complete", **result}
    say({"id": request["id"], "result": result})


def main():
    if flags.exit_at_once is not None:
        sys.stderr.write("cannot start: no configuration\n")
        sys.exit(flags.exit_at_once)
    def term(*_):
        note("SIGTERM")
        if not flags.stubborn:
            os._exit(0)
    signal.signal(signal.SIGTERM, term)
    if flags.greeting:
        write(flags.greeting)
    for line in sys.stdin:
        seen.append(line.rstrip("\n"))
        message = json.loads(line)
        if "method" not in message:
            waiting = answers.get(message.get("id"))
            if waiting:
                waiting["answer"] = message
                waiting["event"].set()
        elif message["method"] == "notifications/cancelled":
            cancelled.append(message["params"]["requestId"])
            listens.pop(message["params"]["requestId"], None)
        elif "id" in message:
            threading.Thread(target=handle, args=(message,), daemon=True).start()
    note("end of input")
    while flags.deaf:
        time.sleep(1)


main()

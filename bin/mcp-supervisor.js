#!/usr/bin/env node
// Old syntax only: this file must parse on any Node, to say which one is needed.
"use strict";
// The SQLite binding uses Node-API 10, which came with 22.14; on an older one it crashes without a word.
var need = [22, 14];
var have = process.versions.node.split(".").map(Number);
if (have[0] < need[0] || (have[0] === need[0] && have[1] < need[1])) {
  console.error(
    "mcp-supervisor: this is Node " +
      process.versions.node +
      "; Node " +
      need.join(".") +
      " or newer is needed. Install it, or run the npm scripts of a checkout, which bring their own.",
  );
  process.exit(1);
}
// An import of node:http looks at all that it exports, and these load Node's WebSocket client: a tenth
// of the start and 3 MiB, for nothing that is used here.
var http = process.getBuiltinModule("node:http");
["WebSocket", "CloseEvent", "MessageEvent"].forEach(function (name) {
  Reflect.deleteProperty(http, name);
});
import("../dist/main.js").catch(function (error) {
  console.error("mcp-supervisor: cannot load the program: " + error.message);
  process.exit(1);
});

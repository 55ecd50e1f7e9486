// Streamable HTTP clients of many users, each on connections of its own, which are kept.
import http from "node:http";

export const initialize = {
  id: 0,
  method: "initialize",
  params: {
    protocolVersion: "2025-03-26",
    capabilities: {},
    clientInfo: { name: "bench", version: "1" },
  },
};

/** `post` resolves with status, body and session, or rejects when no answer comes within the time. */
export function clients(url, timeoutMs) {
  const agents = new Map();
  const agentOf = (user) => {
    const agent = agents.get(user) ?? new http.Agent({ keepAlive: true });
    agents.set(user, agent);
    return agent;
  };
  return {
    post: ({ user, server, secret, session }, message) => {
      const body = JSON.stringify({ jsonrpc: "2.0", ...message });
      const headers = {
        authorization: `Bearer ${secret}`,
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body),
        accept: "application/json, text/event-stream",
        ...(session === undefined ? {} : { "mcp-session-id": session }),
      };
      return new Promise((resolve, reject) => {
        const options = { method: "POST", headers, agent: agentOf(user) };
        const req = http.request(`${url}/u/${user}/${server}/mcp`, options, (res) => {
          let text = "";
          res.setEncoding("utf8").on("data", (chunk) => (text += chunk));
          res.on("end", () => {
            clearTimeout(timer);
            const { "mcp-session-id": opened, "retry-after": retryAfter } = res.headers;
            resolve({ status: res.statusCode, body: text, session: opened, retryAfter });
          });
        });
        const timer = setTimeout(
          () => req.destroy(new Error(`no answer in ${timeoutMs} ms`)),
          timeoutMs,
        );
        req.on("error", (error) => {
          clearTimeout(timer);
          reject(error);
        });
        req.end(body);
      });
    },
    close: () => agents.forEach((agent) => agent.destroy()),
  };
}

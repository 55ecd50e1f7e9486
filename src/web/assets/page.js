// Before anything is shown: what stands behind # may be a secret, and what stands behind ? was one.
const code = location.hash.slice(1);
if (location.hash !== "" || location.search !== "")
  history.replaceState(null, "", location.pathname);

/** Posts JSON; resolves with what is answered, or with `{ error: { type } }`. */
async function post(path, body, key) {
  const headers = { "content-type": "application/json", "x-mcp-supervisor": "1" };
  if (key !== undefined) headers.authorization = `Bearer ${key}`;
  try {
    const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
    return await answer.json();
  } catch {
    return { error: { type: "OTHER" } };
  }
}

/** Shows the sentence for that failure, and no other; `undefined` for none. */
function showError(type) {
  const all = [...document.querySelectorAll("[data-error]")];
  const named = all.find((element) => element.dataset.error.split(" ").includes(type));
  const shown = type && (named ?? all.find((element) => element.dataset.error === "OTHER"));
  for (const element of all) element.hidden = element !== shown;
}

/** Goes to the provider, if there is one for that page and the key is good. */
async function connect(path, key, button) {
  button.disabled = true;
  showError(undefined);
  const answer = await post(path, {}, key);
  if (answer.location !== undefined) return location.assign(answer.location);
  button.disabled = false;
  showError(answer.error.type);
}

function fill(template, values) {
  const copy = document.getElementById(template).content.cloneNode(true);
  for (const element of copy.querySelectorAll("[data-fill]"))
    element.textContent = values[element.dataset.fill];
  return copy;
}

/** Signs in with the key, and goes there. */
async function openPage(path, key, button) {
  button.disabled = true;
  showError(undefined);
  const answer = await post(`${path}/api/session`, { key });
  if (answer.error === undefined) return location.assign(path);
  button.disabled = false;
  showError(answer.error.type);
}

async function redeem(button) {
  button.disabled = true;
  showError(undefined);
  const answer = await post(location.pathname, { code });
  const type = answer.error?.type;
  button.disabled = false;
  showError(type);
  // It is not good any more, whatever is tried.
  document.getElementById("asking").hidden = type === undefined || type === "INVITE_INVALID";
  if (type !== undefined) return;
  const { key, connect: accounts, snippets, page } = answer;
  document.getElementById("given-key").textContent = key.secret;
  const form = document.getElementById("own-page");
  form.hidden = page === null;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void openPage(page, key.secret, form.querySelector("button"));
  });
  for (const account of accounts) {
    const row = fill("account", account);
    const go = row.querySelector("button");
    go.addEventListener("click", () => connect(account.path, key.secret, go));
    document.getElementById("account-list").append(row);
  }
  document.getElementById("accounts").hidden = accounts.length === 0;
  for (const snippet of snippets)
    document.getElementById("snippet-list").append(fill("snippet", snippet));
  document.getElementById("given").hidden = false;
}

document.addEventListener("DOMContentLoaded", () => {
  const button = document.querySelector("form button");
  document.getElementById("connect")?.addEventListener("submit", (event) => {
    event.preventDefault();
    const key = document.getElementById("key").value.trim();
    void connect(location.pathname, key, button);
  });
  document.getElementById("invite")?.addEventListener("submit", (event) => {
    event.preventDefault();
    void redeem(button);
  });
});

"use strict";
// One conversation with /v1/chat/completions. What the model writes is shown as text, never as HTML.

const element = (id) => document.getElementById(id);
const messages = [];
let running = null; // the AbortController of the answer under way

function headers() {
  const key = element("key").value.trim();
  return key ? { "authorization": "Bearer " + key } : {};
}

function say(text, isError = false) {
  element("status").textContent = text;
  element("status").classList.toggle("error", isError);
}

function show(role, text) {
  const made = document.createElement("div");
  made.className = "message " + role;
  made.textContent = text;
  element("messages").append(made);
  made.scrollIntoView({ block: "end" });
  return made;
}

async function failure(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return response.status + " " + response.statusText;
  }
}

async function loadModels() {
  const response = await fetch("v1/models", { headers: headers() });
  if (!response.ok) return say(await failure(response), true);
  const models = (await response.json()).data.filter((m) => m.capabilities.includes("chat"));
  element("model").replaceChildren(...models.map((m) => new Option(m.id, m.id)));
  say(models.length ? "" : "No model of this server chats.");
}

// The data of each server-sent event, as it comes.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) if (part.startsWith("data: ")) yield part.slice(6);
  }
}

async function answer(target) {
  const response = await fetch("v1/chat/completions", {
    method: "POST",
    headers: { ...headers(), "content-type": "application/json" },
    signal: running.signal,
    body: JSON.stringify({
      model: element("model").value,
      messages,
      stream: true,
      stream_options: { include_usage: true },
      temperature: Number(element("temperature").value),
      max_tokens: Number(element("max-tokens").value),
    }),
  });
  if (!response.ok) throw new Error(await failure(response));
  const begun = performance.now();
  for await (const data of events(response.body)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Error(chunk.error.message);
    target.textContent += chunk.choices[0]?.delta.content ?? "";
    if (chunk.usage) {
      const seconds = (performance.now() - begun) / 1000;
      const n = chunk.usage.completion_tokens;
      say(`${n} tokens, ${(n / Math.max(seconds, 1e-3)).toFixed(1)} a second`);
    }
    target.scrollIntoView({ block: "end" });
  }
  throw new Error("The answer broke off.");
}

async function send() {
  const text = element("text").value.trim();
  if (!text || running) return;
  if (!element("model").value) await loadModels();
  element("text").value = "";
  messages.push({ role: "user", content: text });
  show("user", text);
  const target = show("assistant", "");
  running = new AbortController();
  element("send").hidden = true;
  element("stop").hidden = false;
  say("…");
  try {
    await answer(target);
  } catch (error) {
    say(error.name === "AbortError" ? "Stopped." : error.message, error.name !== "AbortError");
  }
  if (target.textContent) {
    messages.push({ role: "assistant", content: target.textContent });
  } else { // nothing came: the message may be sent again
    messages.pop();
    target.remove();
  }
  running = null;
  element("send").hidden = false;
  element("stop").hidden = true;
  element("text").focus();
}

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
element("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send();
  }
});
element("stop").addEventListener("click", () => running?.abort());
element("clear").addEventListener("click", () => {
  if (running) return;
  messages.length = 0;
  element("messages").replaceChildren();
  say("");
});
element("key").addEventListener("change", loadModels);
loadModels();

// The playground's answers as they are written, and pages that stay live. Without this script the form answers
// as a page, and a page is read again for what is new.
"use strict";

const MOST_ROWS = 2000;

// Only parts that differ are put in place of the old ones: what somebody reads or scrolls stays where it is.
function renew(place, html) {
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  for (const part of [...fresh.content.children]) {
    const old = document.getElementById(part.id);
    if (!old) place.append(part);
    else if (old.outerHTML !== part.outerHTML) replace(old, part);
  }
}

function replace(old, part) {
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  const aside = [...old.querySelectorAll("table[id]")].map((table) => [table.id, table.scrollLeft]);
  old.replaceWith(part);
  for (const [id, left] of aside) {
    const table = document.getElementById(id);
    if (table) table.scrollLeft = left;
  }
  if (focused) document.getElementById(focused)?.focus();
}

function append(place, html) {
  const box = place.closest("table");
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  place.insertAdjacentHTML("beforeend", html);
  while (place.rows.length > MOST_ROWS) place.deleteRow(0);
  if (atEnd) box.scrollTop = box.scrollHeight;
}

function say(text) {
  const place = document.getElementById("live");
  if (place) place.textContent = text;
}

for (const place of document.querySelectorAll("[data-stream]")) {
  const source = new EventSource(place.dataset.stream);
  source.addEventListener("whole", (event) => renew(place, event.data));
  source.addEventListener("more", (event) => append(place, event.data));
  source.addEventListener("open", () => say("Live: new lines come by themselves."));
  source.addEventListener("fault", (event) => say(event.data));
  source.addEventListener("end", (event) => {
    source.close();
    say(event.data);
  });
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) say("No longer live: load the page again.");
  });
  if (place.rows) place.closest("table").scrollTop = place.closest("table").scrollHeight;
}

const form = document.getElementById("playground");

function place(model) {
  const section = document.createElement("section");
  const title = document.createElement("h2");
  const text = document.createElement("p");
  title.textContent = model;
  text.className = "answer";
  section.append(title, text);
  document.getElementById("answers").append(section);
  return text;
}

function piece(line) {
  if (!line.startsWith("data:")) return "";
  const said = line.slice(5).trim();
  if (said === "" || said === "[DONE]") return "";
  const event = JSON.parse(said);
  if (event.error) return `\n${event.error.message} (request ${event.error.request_id ?? "unknown"})`;
  return event.choices?.[0]?.delta?.content ?? "";
}

async function ask(model) {
  const text = place(model);
  const body = new URLSearchParams(new FormData(form));
  body.set("model", model);
  const answer = await fetch("/playground/stream", { method: "POST", body });
  if (!(answer.headers.get("content-type") ?? "").startsWith("text/event-stream")) {
    text.textContent = answer.status === 422 ? "The form is not filled in as it must be." : await answer.text();
    return;
  }
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) text.textContent += piece(line);
  }
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  document.getElementById("answers").replaceChildren();
  const button = form.querySelector("button");
  const models = new Set([form.model.value, form.other.value].filter(Boolean));
  button.disabled = true;
  try {
    await Promise.all([...models].map(ask));
  } catch (error) {
    place("The portal").textContent = `does not answer: ${error.message}`;
  } finally {
    button.disabled = false;
  }
});

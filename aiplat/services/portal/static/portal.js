// The playground's answers as they are written. Without this script the form answers as a page.
"use strict";

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
  if (event.error) return `\n${event.error.message}`;
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

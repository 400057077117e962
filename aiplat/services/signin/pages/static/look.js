// A field is checked half a second after its last key. Once its form is sent, that check would come too late: a
// link that was just used up is "invalid" then, and the answer takes away the cookie of who just signed in.
document.addEventListener("submit", (event) => { event.target.dataset.sent = "yes"; }, true);
document.addEventListener("htmx:afterSettle", () => {
  document.querySelectorAll("form[data-sent]").forEach((form) => { delete form.dataset.sent; });
});
document.addEventListener("htmx:beforeRequest", (event) => {
  const asking = event.detail.elt;
  if (asking.tagName !== "FORM" && asking.closest("form")?.dataset.sent) event.preventDefault();
});

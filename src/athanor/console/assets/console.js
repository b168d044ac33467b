// The console's behaviour in the browser. The server draws the page; this file only does what a server cannot:
// remember the theme, send a form's text, show upload progress, open dialogs, scroll to a mark. No text becomes markup.
(() => {
  "use strict";
  const root = document.documentElement;
  const KEY = "athanor.theme";
  const stored = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  };
  if (stored()) root.dataset.theme = stored();
  root.lang ||= "en";

  const closest = (event, selector) => (event.target instanceof Element ? event.target.closest(selector) : null);

  function toggleTheme() {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try {
      localStorage.setItem(KEY, root.dataset.theme);
    } catch {
      /* private window: the choice lasts as long as the page */
    }
  }

  function fit(area) {
    area.style.height = "auto";
    area.style.height = `${Math.min(area.scrollHeight, 200)}px`;
  }

  document.addEventListener("click", (event) => {
    if (closest(event, "[data-theme-toggle]")) toggleTheme();
    if (closest(event, "[data-escape]")) setTimeout(() => opener?.focus(), 100);
    closest(event, "[data-close]")?.closest("dialog")?.close();
    const copy = closest(event, "[data-copy]");
    if (copy) navigator.clipboard?.writeText(copy.dataset.copy).then(() => (copy.title = "Copied"));
    const zone = closest(event, "[data-drop]");
    if (zone && event.target.tagName !== "INPUT") zone.querySelector("input").click();
  });

  // <form data-emit="ask">: its fields go to the server as one event.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.dataset.emit) return;
    event.preventDefault();
    if (form.querySelector("button[disabled]")) return;
    emitEvent(form.dataset.emit, Object.fromEntries(new FormData(form, event.submitter)));
    if (!("keep" in form.dataset)) {
      form.reset();
      form.querySelectorAll("textarea").forEach(fit);
    }
    form.closest("dialog")?.close();
  });

  document.addEventListener("change", (event) => {
    const field = event.target;
    if (field.matches("select[data-emit]")) emitEvent(field.dataset.emit, field.value);
    if (field.matches("[data-drop] input")) {
      send(field.closest("[data-drop]"), [...field.files]);
      field.value = "";
    }
  });

  document.addEventListener("input", (event) => {
    if (event.target.matches("textarea[data-fit]")) fit(event.target);
  });

  document.addEventListener("keydown", (event) => {
    const area = event.target;
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && area.matches?.("textarea[data-enter]")) {
      event.preventDefault();
      area.form.requestSubmit();
    } else if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
      document.querySelector("[data-escape]")?.click();
    }
  });

  // Uploads: one request for each file, so that each has its own progress and its own problem.
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      const zone = closest(event, "[data-drop]");
      event.preventDefault(); // a file dropped beside the zone must not replace the page
      if (!zone) return;
      zone.toggleAttribute("data-over", kind === "dragover");
      if (kind === "drop") send(zone, [...event.dataTransfer.files]);
    });
  }

  async function send(zone, files) {
    const list = document.querySelector(zone.dataset.list);
    const sent = [];
    for (const file of files) {
      const row = list.appendChild(document.createElement("li"));
      const name = row.appendChild(document.createElement("span"));
      const state = row.appendChild(document.createElement("span"));
      const bar = row.appendChild(document.createElement("progress"));
      name.textContent = file.name;
      name.className = "a-clip";
      bar.className = "a-bar";
      bar.max = 1;
      const answer = await post(zone.dataset.drop, file, (part) => {
        bar.value = part;
        state.textContent = `${Math.round(100 * part)} %`;
      });
      if (answer.id) {
        sent.push(answer.id);
        row.remove();
      } else {
        bar.remove();
        state.className = "a-problem";
        state.textContent = answer.problem;
      }
    }
    if (sent.length) emitEvent("uploaded", { ids: sent });
  }

  function post(url, file, progress) {
    return new Promise((resolve) => {
      const request = new XMLHttpRequest();
      const body = new FormData();
      body.append("file", file);
      request.upload.onprogress = (event) => progress(event.total ? event.loaded / event.total : 0);
      request.onerror = () => resolve({ problem: "The connection broke; try again." });
      request.onload = () => {
        try {
          const answer = JSON.parse(request.responseText);
          resolve(answer.id ? answer : { problem: answer.error?.message || "The server refused this file." });
        } catch {
          resolve({ problem: `The server answered ${request.status}.` });
        }
      };
      request.open("POST", url);
      request.send(body);
    });
  }

  // What the server has just put into the page. What had the focus before a panel opened gets it back.
  let opener = null;
  const clock = new Intl.DateTimeFormat(undefined, {
    month: "short", day: "numeric", hour: "numeric", minute: "2-digit", second: "2-digit",
  });
  const dated = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  function arrived(node) {
    const own = (selector) => (node.matches(selector) ? [node] : []).concat([...node.querySelectorAll(selector)]);
    own("time[data-when]").forEach((time) => {
      time.title = time.textContent;
      const at = new Date(time.dateTime);
      time.textContent = (at.getFullYear() === new Date().getFullYear() ? clock : dated).format(at);
    });
    own(".a-nav a[aria-current]").forEach((link) => link.scrollIntoView({ block: "nearest", inline: "center" }));
    own("dialog[data-modal]").forEach((dialog) => dialog.open || dialog.showModal());
    own("[data-focus]").forEach((element) => {
      if (element.matches("[data-escape]") && !element.closest("aside").contains(document.activeElement)) {
        opener = document.activeElement;
      }
      element.focus({ preventScroll: true });
    });
    const mark = own("mark")[0];
    if (mark) requestAnimationFrame(() => mark.scrollIntoView({ block: "center" }));
  }

  // A talk that is read at its end stays at its end while the answer grows.
  let follow = true;
  document.addEventListener(
    "scroll",
    (event) => {
      const box = event.target;
      if (box.matches?.("[data-follow]")) follow = box.scrollHeight - box.scrollTop - box.clientHeight < 80;
    },
    true,
  );

  new MutationObserver((changes) => {
    for (const change of changes) for (const node of change.addedNodes) if (node instanceof Element) arrived(node);
    const box = document.querySelector("[data-follow]");
    if (box && changes.some((change) => box.contains(change.target))) {
      if (changes.some((change) => [...change.addedNodes].some((node) => node.dataset?.turn))) follow = true;
      if (follow) box.scrollTop = box.scrollHeight;
    }
  }).observe(root, { childList: true, subtree: true, characterData: true });
})();

"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const part = (id) => document.getElementById(id);
  const search = new URLSearchParams(location.search);

  // A browser may refuse to keep anything: then a reload begins anew.
  const kept = {
    read(key) { try { return localStorage.getItem(key); } catch { return null; } },
    write(key, value) { try { localStorage.setItem(key, value); } catch { /* nothing is kept */ } },
  };
  const problem = (text) => { part("problem").textContent = text; part("problem").hidden = !text; };
  const valid = (name) => /^[A-Za-z0-9._-]{1,64}$/.test(name ?? "");
  const random = () => [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");

  // The participant is named by the link, or by this browser, which remembers the name.
  const participant = () => {
    const given = search.get("participant");
    if (valid(given)) return given;
    const key = `srntt-study ${data.study ?? location.pathname} participant`;
    const name = valid(kept.read(key)) ? kept.read(key) : random();
    kept.write(key, name);
    return name;
  };

  // Turns of a server. A vote is sent until the server says that it has it; twice does no harm.
  class Server {
    constructor() { this.participant = participant(); }
    next() { return this.ask("api/next", { participant: this.participant }); }
    vote(position, choice, seconds) {
      return this.ask("api/vote", { participant: this.participant, position, choice, seconds });
    }
    async ask(path, body) {
      for (let wait = 500; ; wait = Math.min(2 * wait, 8000)) {
        try {
          const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
          const told = await answer.json();
          if (answer.ok) { problem(""); return told; }
          if (answer.status < 500) { problem(`The study cannot go on: ${told.error}.`); return null; }
        } catch { /* no server, or half an answer: again */ }
        problem("The server does not answer. Your vote is kept here and sent again; please leave this page open.");
        await new Promise((done) => setTimeout(done, wait));
      }
    }
    thanks() { part("thanks").textContent = "All your votes are stored. You can close this page."; }
  }

  // Turns of a plan in this page; votes stay in this browser until they are downloaded.
  class Plan {
    constructor() {
      this.participant = participant();
      this.key = `srntt-study ${data.study} votes ${this.participant}`;
      const known = this.remembered();
      const given = Number(search.get("plan")); // from 1 on, as people count
      const chosen = Number.isInteger(given) && given >= 1 && given <= data.plans.length
        ? given - 1 : crypto.getRandomValues(new Uint32Array(1))[0] % data.plans.length;
      this.plan = known?.plan ?? chosen;
      this.votes = known?.votes ?? [];
      part("save").hidden = false;
      for (const id of ["save", "download"]) part(id).addEventListener("click", () => this.download());
    }
    remembered() {
      try {
        const known = JSON.parse(kept.read(this.key));
        return data.plans[known.plan] && known.votes.length <= data.turns ? known : null;
      } catch { return null; }
    }
    async next() {
      const position = this.votes.length;
      if (position === data.turns) return { done: true };
      const [left, right] = data.plans[this.plan].slice(2 * position, 2 * position + 2);
      return { position, turns: data.turns, left: data.files[left], right: data.files[right] };
    }
    vote(position, choice, seconds) {
      this.votes[position] = { choice, seconds };
      kept.write(this.key, JSON.stringify({ plan: this.plan, votes: this.votes }));
      return this.next();
    }
    download() {
      const content = { format: "srntt_pipeline votes 1", study: data.study, participant: this.participant, plan: this.plan, votes: this.votes };
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([JSON.stringify(content, null, 1) + "\n"], { type: "application/json" }));
      link.download = `votes-${this.participant}.json`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    }
    thanks() {
      part("thanks").textContent = "Download your votes and send the file to those who asked you.";
      part("download").hidden = false;
    }
  }

  // Both pictures at one zoom: `zoom` times as large as fits, and one point of them in the middle.
  const sides = ["left", "right"];
  const view = { zoom: 1, x: 0.5, y: 0.5 };
  const size = () => {
    const image = part("left"), box = part("view-left").getBoundingClientRect();
    const fit = Math.min(box.width / image.naturalWidth, box.height / image.naturalHeight);
    return { box, fit, width: image.naturalWidth * fit * view.zoom, height: image.naturalHeight * fit * view.zoom };
  };
  const within = (middle, shown, whole) => {
    const half = shown / whole / 2;
    return half >= 0.5 ? 0.5 : Math.min(Math.max(middle, half), 1 - half);
  };
  const draw = () => {
    if (!part("left").naturalWidth) return;
    const { box, fit, width, height } = size();
    view.x = within(view.x, box.width, width);
    view.y = within(view.y, box.height, height);
    for (const side of sides) {
      const image = part(side);
      image.style.width = `${width}px`;
      image.style.height = `${height}px`;
      image.style.transform = `translate(${box.width / 2 - view.x * width}px, ${box.height / 2 - view.y * height}px)`;
      part(`view-${side}`).classList.toggle("pixels", fit * view.zoom >= 3);
    }
    part("scale").textContent = `${(fit * view.zoom).toFixed(1)}×`;
  };
  // Zoom by a factor, so that the point at (px, py) of the view stays where it is.
  const zoomBy = (factor, px, py) => {
    const before = size();
    view.zoom = Math.min(Math.max(view.zoom * factor, 1), Math.max(16 / before.fit, 4));
    const after = size();
    const [dx, dy] = [(px ?? before.box.width / 2) - before.box.width / 2, (py ?? before.box.height / 2) - before.box.height / 2];
    view.x += dx / before.width - dx / after.width;
    view.y += dy / before.height - dy / after.height;
    draw();
  };
  const moveBy = (dx, dy) => {
    const { width, height } = size();
    view.x -= dx / width;
    view.y -= dy / height;
    draw();
  };
  const fitAll = () => { Object.assign(view, { zoom: 1, x: 0.5, y: 0.5 }); draw(); };

  for (const side of sides) {
    const box = part(`view-${side}`);
    const down = new Map(); // pointers that touch this view
    const middle = () => {
      const points = [...down.values()];
      const [x, y] = [0, 1].map((axis) => points.reduce((sum, p) => sum + p[axis], 0) / points.length);
      const spread = points.length > 1 ? Math.hypot(points[0][0] - points[1][0], points[0][1] - points[1][1]) : 0;
      return { x, y, spread };
    };
    const at = (event) => { const r = box.getBoundingClientRect(); return [event.clientX - r.left, event.clientY - r.top]; };
    box.addEventListener("pointerdown", (event) => { box.setPointerCapture(event.pointerId); down.set(event.pointerId, at(event)); });
    box.addEventListener("pointermove", (event) => {
      if (!down.has(event.pointerId)) return;
      const before = middle();
      down.set(event.pointerId, at(event));
      const after = middle();
      moveBy(after.x - before.x, after.y - before.y);
      if (before.spread && after.spread) zoomBy(after.spread / before.spread, after.x, after.y);
    });
    for (const end of ["pointerup", "pointercancel"]) box.addEventListener(end, (event) => down.delete(event.pointerId));
    box.addEventListener("wheel", (event) => { event.preventDefault(); zoomBy(Math.exp(-event.deltaY / 400), ...at(event)); }, { passive: false });
    box.addEventListener("dblclick", (event) => { if (view.zoom > 1.01) fitAll(); else zoomBy(4, ...at(event)); });
    part(`choose-${side}`).addEventListener("click", () => choose(side));
  }
  part("in").addEventListener("click", () => zoomBy(1.5));
  part("out").addEventListener("click", () => zoomBy(1 / 1.5));
  part("fit").addEventListener("click", fitAll);
  addEventListener("resize", draw);

  const source = data.plans ? new Plan() : new Server();
  let turn = null, since = 0;

  const load = (image, url) => new Promise((done, failed) => {
    image.onload = done;
    image.onerror = failed;
    image.src = url;
  });
  const show = async (told) => {
    if (told === null) return;
    if (told.done) {
      part("ask").hidden = true;
      part("end").hidden = false;
      source.thanks();
      return;
    }
    part("place").textContent = `${told.position + 1} of ${told.turns}`;
    for (let wait = 500; ; wait = Math.min(2 * wait, 8000)) {
      try {
        await Promise.all(sides.map((side) => load(part(side), told[side])));
        break;
      } catch {
        problem("A picture could not be loaded; trying again.");
        await new Promise((done) => setTimeout(done, wait));
      }
    }
    problem("");
    // Both appear at once, and only then can one be chosen. Never shrunk: that would hide detail.
    Object.assign(view, { zoom: 1, x: 0.5, y: 0.5 });
    view.zoom = Math.max(1, 1 / size().fit);
    draw();
    for (const side of sides) { part(`view-${side}`).classList.add("ready"); part(`choose-${side}`).disabled = false; }
    turn = told;
    since = performance.now();
  };
  const choose = async (side) => {
    if (turn === null) return;
    const seconds = Math.min(Math.round(performance.now() - since) / 1000, 86400);
    const { position } = turn;
    turn = null; // a second click, or a key held down, is no second vote
    document.activeElement?.blur();
    for (const one of sides) { part(`view-${one}`).classList.remove("ready"); part(`choose-${one}`).disabled = true; }
    await show(await source.vote(position, side, seconds));
  };

  addEventListener("keydown", (event) => {
    if (part("ask").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    const keys = {
      ArrowLeft: () => choose("left"), a: () => choose("left"), ArrowRight: () => choose("right"), b: () => choose("right"),
      "+": () => zoomBy(1.5), "=": () => zoomBy(1.5), "-": () => zoomBy(1 / 1.5), 0: fitAll,
    };
    const move = event.shiftKey ? moves[event.key] : null;
    const act = move ? () => moveBy(...move) : keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    if (move || !event.repeat) act();
  });

  part("begin").addEventListener("click", async () => {
    part("start").hidden = true;
    part("ask").hidden = false;
    await show(await source.next());
  });
  part("begin").disabled = false;
})();

"use strict";
(() => {
  const images = JSON.parse(document.getElementById("data").textContent);

  // Tables: a button in each header sorts by it; again turns the order round.
  const units = { k: 1e3, M: 1e6, G: 1e9, T: 1e12 }; // of counts: 71.4 k
  const number = (text) => {
    const found = parseFloat(text.replace("inf", "Infinity"));
    const unit = /^[\d.]+ ([kMGT])$/.exec(text);
    return Number.isNaN(found) ? null : found * (unit ? units[unit[1]] : 1);
  };
  const compareCells = (a, b, ascending) => {
    if (a === b) return 0;
    if (a === "" || b === "") return a === "" ? 1 : -1; // empty cells last, either way
    const [x, y] = [number(a), number(b)];
    const order = x !== null && y !== null ? x - y : a.localeCompare(b, "en", { numeric: true });
    return ascending ? order : -order;
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const headers = [...table.tHead.rows[0].cells];
    headers.forEach((header, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = header.textContent;
      header.replaceChildren(button);
      button.addEventListener("click", () => {
        const before = header.getAttribute("aria-sort");
        const ascending = before ? before === "descending" : column < 2;
        headers.forEach((other) => other.removeAttribute("aria-sort"));
        header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
        const rows = [...table.tBodies[0].rows];
        const text = (row) => row.cells[column].textContent.trim();
        rows.sort((a, b) => compareCells(text(a), text(b), ascending));
        table.tBodies[0].append(...rows);
      });
    });
  }

  // Two pictures of an image over each other, the left one up to the slider.
  class Compare {
    constructor(root) {
      this.root = root;
      this.part = (role) => root.querySelector(`[data-role=${role}]`);
      this.pair = root.querySelector(".pair");
      this.stage = root.querySelector(".stage");
      images.forEach((image, place) => this.part("image").add(new Option(image.name, place)));
      this.part("image").addEventListener("change", () => this.choose(this.state()));
      for (const role of ["left", "right"]) {
        this.part(role).addEventListener("change", () => this.draw());
      }
      this.part("cut").addEventListener("input", () => this.cut());
      this.part("size")?.addEventListener("change", () => this.resize());
      this.pair.addEventListener("pointerdown", (event) => this.drag(event));
    }

    state() {
      const label = (role) => this.part(role).selectedOptions[0]?.text;
      return { image: this.part("image").value, left: label("left"), right: label("right") };
    }

    // Show an image; pictures of these labels if it has them, else the last output against HR.
    choose({ image, left, right }) {
      this.part("image").value = image;
      const pictures = images[image].pictures;
      const find = (label) => pictures.findIndex((picture) => picture.label === label);
      const last = pictures.findLastIndex((picture) => picture.kind === "output");
      const truth = pictures.findIndex((picture) => picture.kind === "truth");
      [["left", left, last], ["right", right, truth]].forEach(([role, label, otherwise]) => {
        const select = this.part(role);
        select.replaceChildren(...pictures.map(({ label: text }, place) => new Option(text, place)));
        select.value = find(label) >= 0 ? find(label) : Math.max(otherwise, 0);
      });
      this.draw();
    }

    draw() {
      const pictures = images[this.part("image").value].pictures;
      const element = (name, className) => {
        const made = document.createElement(name);
        made.className = className;
        return made;
      };
      const layers = ["right", "left"].map((role) => {
        const picture = pictures[this.part(role).value];
        const image = element("img", role + (picture.kind === "input" ? " small" : ""));
        image.alt = picture.label;
        image.draggable = false;
        image.addEventListener("load", () => this.resize());
        image.src = picture.url;
        const tag = element("span", `tag ${role}`);
        tag.textContent = picture.label + (picture.value ? `, ${picture.value}` : "");
        return [image, tag];
      });
      this.pair.replaceChildren(layers[0][0], layers[1][0], element("span", "edge"), layers[0][1], layers[1][1]);
      this.cut();
      this.resize();
    }

    // Both have the size of the larger: LR, and references, are shown at the size of HR.
    resize() {
      const chosen = images[this.part("image").value].pictures;
      const [right, left] = this.pair.querySelectorAll("img");
      const reference = chosen[this.part("left").value].kind === "reference" ? right : left;
      const base = [reference, left, right].find((image) => image.naturalWidth && !image.classList.contains("small")) ?? left;
      if (!base.naturalWidth) return;
      const size = this.part("size")?.value ?? "fit";
      const ratio = base.naturalWidth / base.naturalHeight;
      this.pair.classList.toggle("pixels", Number(size) > 1);
      this.pair.style.aspectRatio = ratio;
      if (size === "fit") {
        const room = this.root.id === "zoom" ? this.stage.clientHeight : 0.75 * innerHeight;
        this.pair.style.width = `min(100%, ${Math.floor(room * ratio)}px)`;
      } else {
        this.pair.style.width = `${base.naturalWidth * Number(size)}px`;
      }
    }

    cut() {
      this.pair.style.setProperty("--cut", `${this.part("cut").value}%`);
    }

    // Inline, the pointer moves the edge. Enlarged, it moves the picture; the edge has its slider.
    drag(start) {
      if (start.pointerType !== "mouse" && this.root.id === "zoom") return; // touch scrolls by itself
      start.preventDefault();
      const { scrollLeft, scrollTop } = this.stage;
      const move = (event) => {
        if (this.root.id === "zoom") {
          this.stage.scrollTo(scrollLeft + start.clientX - event.clientX, scrollTop + start.clientY - event.clientY);
          return;
        }
        const box = this.pair.getBoundingClientRect();
        this.part("cut").value = (100 * (event.clientX - box.left)) / box.width;
        this.cut();
      };
      if (this.root.id !== "zoom") move(start);
      const stop = new AbortController();
      addEventListener("pointermove", move, { signal: stop.signal });
      for (const end of ["pointerup", "pointercancel"]) {
        addEventListener(end, () => stop.abort(), { signal: stop.signal });
      }
    }
  }

  if (!images.length) return;
  const inline = new Compare(document.getElementById("compare"));
  inline.root.hidden = false;
  inline.choose({ image: "0" });
  const dialog = document.getElementById("zoom");
  const zoom = new Compare(dialog);
  const open = (state) => {
    dialog.showModal();
    zoom.choose(state);
  };
  inline.part("open").addEventListener("click", () => open(inline.state()));
  zoom.part("close").addEventListener("click", () => dialog.close());
  addEventListener("resize", () => { inline.resize(); if (dialog.open) zoom.resize(); });
  for (const grid of document.querySelectorAll(".pictures")) {
    [...grid.querySelectorAll("a")].forEach((link, place) => {
      link.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        open({ image: grid.dataset.image, left: images[grid.dataset.image].pictures[place].label });
      });
    });
  }
})();

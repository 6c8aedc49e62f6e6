// The images of the page: {name, detail, pictures …}, each picture with its URLs.
const data = JSON.parse(document.getElementById("data").textContent);
const images = data.images.map((image) => {
  const address = (place) => place < 0 ? null : data.patterns[place].replace("*", () => image.file);
  const picture = ([series, value, full, preview, detail, width, height]) => ({
    ...data.series[series], value, full: address(full), preview: address(preview), detail: address(detail),
    size: width === undefined ? image.size : [width, height],
  });
  const read = (name) => image[name].map(picture);
  return { ...image, get pictures() { return read("pictures"); }, get figures() { return read("figures"); } };
});

const make = (name, className, more = {}) => Object.assign(document.createElement(name), { className, ...more });

// A picture in the place of HR, in HR's px: the preview, the detail above it, the PNG above both.
const layer = (image, picture, missing) => {
  const made = make("div", `layer ${picture.kind}`);
  made.style.width = `${image.size[0]}px`;
  made.style.height = `${image.size[1]}px`;
  const show = (url, className, alt = "") => {
    const shown = make("img", className, { alt, draggable: false, decoding: "async" });
    shown.src = url;
    made.append(shown);
    return shown;
  };
  show(picture.preview ?? picture.full, picture.preview ? "preview" : "full", picture.label);
  if (picture.detail) {
    const [left, top, width, height] = image.detail.map((px) => `${px}px`);
    Object.assign(show(picture.detail, "detail").style, { left, top, width, height });
  }
  made.showFull = () => {
    if (!picture.preview || made.full) return;
    made.full = show(picture.full, "full");
    made.full.addEventListener("error", () => { made.full.remove(); missing(); });
  };
  return made;
};

const MOST_TILES = 24; // of more outputs, those of one reference are shown first

class Viewer {
  constructor(root, chosen) {
    Object.assign(this, { root, chosen, image: 0, mode: "divider", missing: false });
    this.part = (role) => root.querySelector(`[data-role=${role}]`);
    this.areas = {};
    this.views = {};
    for (const part of root.querySelectorAll(".mode")) {
      const [mode, area] = [part.dataset.mode, part.querySelector(".stage")];
      this.areas[mode] = area;
      this.views[mode] = new View(area, (view) => this.changed(mode, view));
    }
    listen(this.views.divider, (event) => this.moveDivider(event));
    listen(this.views.side, () => false);
    this.part("image").append(...images.map(({ name }, place) => new Option(name, place)));
    this.part("image").addEventListener("change", () => this.choose(Number(this.part("image").value)));
    for (const role of ["left", "right"]) this.part(role).addEventListener("change", () => this.drawDivider());
    this.part("reference").addEventListener("change", () => this.drawTiles());
    this.part("cut").addEventListener("input", () => this.cut());
    for (const radio of root.querySelectorAll("[name=mode]")) {
      radio.addEventListener("change", () => this.show(radio.value));
    }
    const actions = {
      previous: () => this.step(-1), next: () => this.step(1), in: () => this.view.zoom(1.5), out: () => this.view.zoom(1 / 1.5),
      whole: () => this.whole(), detail: () => this.view.show(images[this.image].size, images[this.image].detail),
    };
    for (const [role, action] of Object.entries(actions)) this.part(role).addEventListener("click", action);
    this.part("detail").hidden = !images.some((image) => image.detail[2]);
    this.cut();
  }

  get view() {
    return this.views[this.mode];
  }

  step(by) {
    this.choose(between(0, this.image + by, images.length - 1));
  }

  whole() {
    this.view.show(images[this.image].size);
    if (this.mode === "side") this.loadFull();
  }

  // Show an image; in the divider pictures of the same labels if it has them, else the last output and HR.
  choose(place, left = this.label("left"), right = this.label("right")) {
    this.image = place;
    this.part("image").value = place;
    this.part("previous").disabled = place === 0;
    this.part("next").disabled = place === images.length - 1;
    const { pictures } = images[place];
    const find = (test, otherwise) => { const found = pictures.findIndex(test); return found < 0 ? otherwise : found; };
    const last = Math.max(pictures.findLastIndex(({ kind }) => kind === "output"), 0);
    const truth = find(({ kind }) => kind === "truth", pictures.length - 1);
    for (const [role, label, otherwise] of [["left", left, last], ["right", right, truth]]) {
      this.part(role).replaceChildren(...pictures.map((picture, at) => new Option(picture.label, at)));
      this.part(role).value = find((picture) => picture.label === label, otherwise);
    }
    this.offerReferences(pictures);
    this.draw();
    this.chosen(place);
  }

  label(role) {
    return this.part(role).selectedOptions[0]?.text;
  }

  offerReferences(pictures) {
    const outputs = pictures.filter(({ kind }) => kind === "output");
    const names = [...new Set(outputs.map(({ reference }) => reference))].filter(Boolean);
    const before = this.part("reference").value;
    this.part("reference").replaceChildren(new Option("every one", ""), ...names.map((name) => new Option(name, name)));
    const first = outputs.length > MOST_TILES ? names.find((name) => name === "L1") ?? names[0] ?? "" : "";
    this.part("reference").value = this.offered && (names.includes(before) || !before) ? before : first;
    this.offered = true;
  }

  show(mode) {
    this.mode = mode;
    for (const part of this.root.querySelectorAll(".mode")) part.hidden = part.dataset.mode !== mode;
    this.draw();
  }

  draw() {
    if (this.mode === "divider") this.drawDivider();
    else this.drawTiles();
  }

  layer(picture) {
    return layer(images[this.image], picture, () => {
      this.missing = true;
      this.tell();
    });
  }

  drawDivider() {
    const image = images[this.image];
    const { pictures } = image;
    const halves = ["right", "left"].map((role) => {
      const picture = pictures[this.part(role).value];
      const half = make("div", `half ${role}`);
      half.append(this.layer(picture));
      half.firstChild.showFull();
      const value = picture.value ? `, ${picture.value}` : "";
      return [half, make("span", `tag ${role}`, { textContent: picture.label + value })];
    });
    const [right, left] = halves;
    const area = this.areas.divider;
    area.querySelector(".port").replaceChildren(right[0], left[0], make("span", "edge"), right[1], left[1]);
    this.place("divider", image.size);
  }

  drawTiles() {
    const image = images[this.image];
    const reference = this.part("reference").value;
    const kept = image.pictures.filter(({ kind, reference: own }) =>
      kind === "output" ? !reference || !own || own === reference : kind !== "reference");
    this.layers = kept.map((picture) => this.layer(picture));
    this.areas.side.replaceChildren(...kept.map((picture, place) => {
      const figure = make("figure", picture.kind);
      const port = make("div", "port");
      port.append(this.layers[place]);
      const caption = make("figcaption", "", { textContent: `${picture.label} ` });
      caption.append(make("small", "", { textContent: picture.value }));
      figure.append(port, caption);
      return figure;
    }));
    const box = image.detail[2] ? image.detail : null;
    this.place("side", image.size, box);
    if (!box) this.loadFull();
  }

  // The ports take the shape of what they show first; where the reader has moved to in an image stays.
  place(mode, size, box) {
    const [view, key] = [this.views[mode], `${this.image}`];
    const [width, height] = box ? box.slice(2) : size;
    this.areas[mode].style.setProperty("--ratio", width / height);
    if (this.areas[mode].dataset.image === key && view.moved) {
      view.draw();
      return;
    }
    this.areas[mode].dataset.image = key;
    view.show(size, box);
  }

  changed(mode, view) {
    if (mode === "side" && view.moved) this.loadFull();
    if (mode === this.mode) this.tell();
  }

  loadFull() {
    this.layers.forEach((one) => one.showFull());
  }

  tell() {
    const told = `Image ${this.image + 1} of ${images.length}: ${images[this.image].name}. Zoom ${this.view.scale?.toFixed(2)}×.`;
    const lost = this.missing ? " Some full pictures are not beside this page; their previews are shown." : "";
    this.root.querySelector(".status").textContent = told + lost;
  }

  cut() {
    const { value } = this.part("cut");
    this.areas.divider.style.setProperty("--cut", `${value}%`);
    this.part("cut").setAttribute("aria-valuetext", `${Math.round(value)} % of the left picture`);
  }

  // The divider goes to the pointer; with Shift or the middle button it is the picture that moves.
  moveDivider(event) {
    if (event.shiftKey || event.buttons & 4) return false;
    const port = this.areas.divider.querySelector(".port").getBoundingClientRect();
    this.part("cut").value = (100 * (event.clientX - port.left)) / port.width;
    this.cut();
    return true;
  }

  // Return whether the key did something here.
  press(event) {
    const { key, shiftKey: shift } = event;
    const arrows = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (event.target.closest("select, textarea")) return false;
    if (arrows[key]) {
      if (event.target.closest("input, [role=tab], .scroll, .notes")) return false; // they have uses for arrows
      const [right, down] = arrows[key];
      if (shift) this.view.pan(60 * right, 60 * down);
      else if (right) this.step(-right);
      return Boolean(shift || right);
    }
    if (key === "+" || key === "=") this.view.zoom(1.5);
    else if (key === "-") this.view.zoom(1 / 1.5);
    else if (key === "0") this.whole();
    else return false;
    return true;
  }
}

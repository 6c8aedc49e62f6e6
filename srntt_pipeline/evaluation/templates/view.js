// Where a picture stands in its ports: the point of it in their middle, and CSS px for one of its px.
// All ports of an area show the same part: --left, --top and --scale of the area move their layers.
const MOST = 64;
const between = (low, value, high) => Math.min(Math.max(value, low), high);

class View {
  constructor(area, changed) {
    Object.assign(this, { area, changed, size: [1, 1], box: [0, 0, 1, 1], moved: false });
    new ResizeObserver(() => this.draw()).observe(area);
  }

  get room() {
    const port = this.area.querySelector(".port");
    return port ? [port.clientWidth, port.clientHeight] : [0, 0];
  }

  // Show a box of the picture whole, [left, top, width, height]: all of it unless told otherwise.
  show(size, box) {
    Object.assign(this, { size, box: box ?? [0, 0, ...size], moved: false });
    this.draw();
  }

  draw() {
    const [[width, height], [wide, high]] = [this.room, this.size];
    if (!width || !height) return; // not on the page now
    if (!this.moved) {
      const [left, top, boxWidth, boxHeight] = this.box;
      this.scale = Math.min(width / boxWidth, height / boxHeight);
      this.middle = [left + boxWidth / 2, top + boxHeight / 2];
    }
    this.scale = between(Math.min(width / wide, height / high), this.scale, MOST);
    this.middle = [[width, wide], [height, high]].map(([room, side], axis) => {
      const half = room / 2 / this.scale;
      return 2 * half >= side ? side / 2 : between(half, this.middle[axis], side - half);
    });
    const style = this.area.style;
    style.setProperty("--scale", this.scale);
    style.setProperty("--left", `${width / 2 - this.middle[0] * this.scale}px`);
    style.setProperty("--top", `${height / 2 - this.middle[1] * this.scale}px`);
    this.area.classList.toggle("pixels", this.scale >= 1.5);
    this.changed(this);
  }

  // The point of the picture at (left, top) of the port stays there.
  zoom(factor, left = this.room[0] / 2, top = this.room[1] / 2) {
    const before = this.scale;
    const least = Math.min(...this.room.map((room, axis) => room / this.size[axis]));
    this.scale = between(least, before * factor, MOST);
    const shift = 1 / before - 1 / this.scale;
    const [width, height] = this.room;
    this.middle = [this.middle[0] + (left - width / 2) * shift, this.middle[1] + (top - height / 2) * shift];
    this.moved = true;
    this.draw();
  }

  pan(right, down) {
    this.middle = [this.middle[0] - right / this.scale, this.middle[1] - down / this.scale];
    this.moved = true;
    this.draw();
  }

  get whole() {
    return this.scale <= Math.min(...this.room.map((room, axis) => room / this.size[axis])) * 1.001;
  }
}

// Wheel, pinch and drag. One pointer does what `drag(event, moved)` says: it returns whether it did.
let pageMoved = 0;
addEventListener("scroll", () => { pageMoved = performance.now(); }, { capture: true, passive: true });

const listen = (view, drag) => {
  const { area } = view;
  const pointers = new Map();
  const corner = (event) => {
    const port = (event.target.closest?.(".port") ?? area.querySelector(".port")).getBoundingClientRect();
    return [event.clientX - port.left, event.clientY - port.top];
  };
  area.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && performance.now() - pageMoved < 250) return; // the page is being scrolled
    if (event.deltaY > 0 && view.whole) return;
    event.preventDefault();
    const px = event.deltaMode === 1 ? 16 : 1;
    view.zoom(Math.exp(-between(-250, event.deltaY * px, 250) / (event.ctrlKey ? 100 : 400)), ...corner(event));
  }, { passive: false });
  area.addEventListener("pointerdown", (event) => {
    if (event.button > 1) return;
    if (event.pointerType === "mouse") event.preventDefault();
    area.focus({ preventScroll: true });
    area.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { at: [event.clientX, event.clientY], corner: corner(event) });
    if (pointers.size === 1) drag(event, false);
  });
  area.addEventListener("pointermove", (event) => {
    const own = pointers.get(event.pointerId);
    if (!own) return;
    const by = [event.clientX - own.at[0], event.clientY - own.at[1]];
    const other = [...pointers.values()].find((pointer) => pointer !== own);
    if (!other) {
      if (!drag(event, true)) view.pan(...by);
    } else {
      const apart = ([x, y]) => Math.hypot(x - other.at[0], y - other.at[1]) || 1;
      const factor = apart([event.clientX, event.clientY]) / apart(own.at);
      view.pan(by[0] / 2, by[1] / 2);
      view.zoom(factor, (own.corner[0] + by[0] + other.corner[0]) / 2, (own.corner[1] + by[1] + other.corner[1]) / 2);
    }
    own.at = [event.clientX, event.clientY];
    own.corner = [own.corner[0] + by[0], own.corner[1] + by[1]];
  });
  for (const end of ["pointerup", "pointercancel"]) {
    area.addEventListener(end, (event) => pointers.delete(event.pointerId));
  }
};

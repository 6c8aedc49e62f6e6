// The pictures of the chosen image below the viewer, as the page has those of the first one.
const shown = document.getElementById("shown");
const figure = (image, picture, className) => {
  const made = make("figure", className);
  const link = make("a", "", { href: picture.full });
  const shownImage = make("img", "", { alt: `${image.name}: ${picture.label}`, loading: "lazy" });
  const [width, height] = picture.size;
  if (width) {
    Object.assign(shownImage, { width, height });
    shownImage.style.aspectRatio = `${width} / ${height}`;
  }
  shownImage.src = picture.preview ?? picture.full;
  link.append(shownImage);
  const caption = make("figcaption", "", { textContent: picture.label });
  if (picture.value) caption.append(" ", make("small", "", { textContent: picture.value }));
  made.append(...(className === "wide" ? [caption, link] : [link, caption]));
  return made;
};
const showPictures = (place) => {
  if (shown.dataset.image === `${place}`) return;
  shown.dataset.image = place;
  const image = images[place];
  const grid = make("div", "pictures");
  grid.append(...image.pictures.map((picture) => figure(image, picture, picture.kind)));
  const figures = image.figures.map((picture) => figure(image, picture, "wide"));
  shown.replaceChildren(make("h3", "", { textContent: image.name }), grid, ...figures);
};

if (images.length) {
  const root = document.getElementById("viewer");
  root.hidden = false;
  const viewer = new Viewer(root, showPictures);
  viewer.choose(0);

  const large = document.getElementById("large");
  const enlarge = viewer.part("enlarge");
  const open = () => {
    large.append(root);
    enlarge.textContent = "Close";
    large.showModal();
  };
  enlarge.addEventListener("click", () => (large.open ? large.close() : open()));
  large.addEventListener("close", () => {
    document.getElementById("place").append(root);
    enlarge.textContent = "Enlarge";
    enlarge.focus();
  });
  shown.addEventListener("click", (event) => {
    const link = event.target.closest(".pictures a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const place = [...shown.querySelectorAll(".pictures a")].indexOf(link);
    root.querySelector("[name=mode][value=divider]").checked = true;
    viewer.show("divider");
    viewer.choose(viewer.image, images[viewer.image].pictures[place].label);
    if (!large.open) open();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (viewer.press(event)) event.preventDefault();
  });
}

// Pure geometry. A "picture point" is {u, v}, fractions of the picture from its top left corner.

/** Where a picture of `size` lies in `box` under object-fit: contain, in the units of `box`. */
export function contain(box, size) {
  const scale = Math.min(box.width / size.width, box.height / size.height);
  const width = size.width * scale;
  const height = size.height * scale;
  return {
    left: box.left + (box.width - width) / 2,
    top: box.top + (box.height - height) / 2,
    width,
    height,
  };
}

/** The picture point under client coordinates; outside 0..1 when they miss the picture. */
export function toPicture(x, y, area) {
  return { u: (x - area.left) / area.width, v: (y - area.top) / area.height };
}

export function toClient(point, area) {
  return { x: area.left + point.u * area.width, y: area.top + point.v * area.height };
}

export function isInside({ u, v }) {
  return u >= 0 && u <= 1 && v >= 0 && v <= 1;
}

const unit = (value) => Math.min(1, Math.max(0, value));

export function clamp({ u, v }) {
  return { u: unit(u), v: unit(v) };
}

/** A picture point in pixels of a source picture of `size`, to a tenth of a pixel. */
export function toSource(point, size) {
  const pixels = (fraction, length) => Math.round(fraction * length * 10) / 10;
  return { x: pixels(point.u, size.width), y: pixels(point.v, size.height) };
}

/** The box between two corners in source pixels, or null when it is thinner than `least` pixels. */
export function sourceBox(a, b, size, least = 4) {
  const p = toSource(clamp(a), size);
  const q = toSource(clamp(b), size);
  const box = {
    x0: Math.min(p.x, q.x),
    y0: Math.min(p.y, q.y),
    x1: Math.max(p.x, q.x),
    y1: Math.max(p.y, q.y),
  };
  return box.x1 - box.x0 < least || box.y1 - box.y0 < least ? null : box;
}

/** Whether a pointer moved far enough, in CSS pixels, to mean a box and not a click. */
export function isDrag(from, to, threshold) {
  return Math.hypot(to.x - from.x, to.y - from.y) >= threshold;
}

// A picture with a frame on it that is dragged, or moved with the arrow keys, to the part that is wanted.

export default function ({ data, parentElement, setStateValue }) {
  const box = parentElement.querySelector(".crop")
  const frame = box.querySelector(".frame")
  box.querySelector("img").src = data.src
  const { width, height, side } = data
  const [w, h] = [Math.min(side.width, width), Math.min(side.height, height)]
  const clamp = (value, most) => Math.round(Math.min(Math.max(value, 0), most))
  // Python's answers lag behind the hand: until they have come to what it last told, and while it drags, they are old.
  const shown = JSON.stringify([data.src, width, height, w, h])
  if (box.shown !== shown) box.grip = box.told = null
  if (String(box.told) === String([data.top, data.left])) box.told = null
  box.shown = shown
  if (!box.told && !box.grip) box.corner = [clamp(data.top, height - h), clamp(data.left, width - w)]
  const draw = () => {
    const [top, left] = box.corner
    const percent = { top: top / height, left: left / width, width: w / width, height: h / height }
    for (const [name, part] of Object.entries(percent)) frame.style[name] = `${100 * part}%`
    frame.setAttribute("aria-label", `Part that is fitted: ${left} across, ${top} down. Arrow keys move it.`)
  }
  const done = () => {
    box.told = box.corner
    setStateValue("corner", box.corner)
  }
  const at = (event) => {
    const rect = box.getBoundingClientRect()
    return [((event.clientY - rect.top) / rect.height) * height, ((event.clientX - rect.left) / rect.width) * width]
  }
  const move = (y, x) => {
    box.corner = [clamp(y, height - h), clamp(x, width - w)]
    draw()
  }
  box.onpointerdown = (event) => {
    const [y, x] = at(event)
    const [top, left] = box.corner
    const inside = y >= top && y <= top + h && x >= left && x <= left + w
    box.grip = inside ? [y - top, x - left] : [h / 2, w / 2] // elsewhere, the frame comes to the pointer
    box.setPointerCapture(event.pointerId)
    move(y - box.grip[0], x - box.grip[1])
    event.preventDefault()
    frame.focus({ preventScroll: true })
  }
  box.onpointermove = (event) => {
    if (!box.grip) return
    const [y, x] = at(event)
    move(y - box.grip[0], x - box.grip[1])
  }
  box.onpointerup = box.onpointercancel = () => {
    if (box.grip) done()
    box.grip = null
  }
  frame.onkeydown = (event) => {
    const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key]
    if (!by) return
    event.preventDefault()
    move(box.corner[0] + (by[0] * h) / 8, box.corner[1] + (by[1] * w) / 8)
    done()
  }
  draw()
}

// A picture with a frame on it that is dragged, or moved with the arrow keys, to the part that is wanted.

export default function ({ data, parentElement, setStateValue }) {
  const box = parentElement.querySelector(".crop")
  const frame = box.querySelector(".frame")
  box.querySelector("img").src = data.src
  const { width, height, side } = data
  const [w, h] = [Math.min(side.width, width), Math.min(side.height, height)]
  const clamp = (value, most) => Math.round(Math.min(Math.max(value, 0), most))
  // Between a drag and Python's answer this is called with what Python knew before.
  const asked = JSON.stringify(data)
  if (box.asked !== asked) box.corner = [data.top, data.left]
  box.asked = asked
  let [top, left] = [clamp(box.corner[0], height - h), clamp(box.corner[1], width - w)]
  const draw = () => {
    const percent = { top: top / height, left: left / width, width: w / width, height: h / height }
    for (const [name, part] of Object.entries(percent)) frame.style[name] = `${100 * part}%`
    frame.setAttribute("aria-label", `Part that is fitted: ${left} across, ${top} down. Arrow keys move it.`)
  }
  const done = () => {
    box.corner = [top, left]
    setStateValue("corner", box.corner)
  }
  let grip = null
  const at = (event) => {
    const rect = box.getBoundingClientRect()
    return [((event.clientY - rect.top) / rect.height) * height, ((event.clientX - rect.left) / rect.width) * width]
  }
  const move = (y, x) => {
    [top, left] = [clamp(y, height - h), clamp(x, width - w)]
    draw()
  }
  box.onpointerdown = (event) => {
    const [y, x] = at(event)
    const inside = y >= top && y <= top + h && x >= left && x <= left + w
    grip = inside ? [y - top, x - left] : [h / 2, w / 2] // elsewhere, the frame comes to the pointer
    box.setPointerCapture(event.pointerId)
    move(y - grip[0], x - grip[1])
    event.preventDefault()
    frame.focus({ preventScroll: true })
  }
  box.onpointermove = (event) => {
    if (!grip) return
    const [y, x] = at(event)
    move(y - grip[0], x - grip[1])
  }
  box.onpointerup = box.onpointercancel = () => {
    if (grip) done()
    grip = null
  }
  frame.onkeydown = (event) => {
    const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key]
    if (!by) return
    event.preventDefault()
    move(top + (by[0] * h) / 8, left + (by[1] * w) / 8)
    done()
  }
  draw()
}

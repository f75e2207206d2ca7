// The loupe: a round lens at the pointer with the right image, and below it every result at the same spot.

class Loupe {
  constructor(stage, lens, strip, base) {
    Object.assign(this, { stage, lens, strip, base })
    this.tiles = new Map() // address -> image; a Map keeps its order, so the first is the oldest
    this.layers = []
  }

  setLayers(layers, right) {
    this.right = right
    this.layers = layers
    this.strip.replaceChildren(...layers.map((layer) => {
      const figure = element("figure", layer.id === right?.id ? "chosen" : "")
      figure.append(element("canvas"), element("figcaption", "", named(layer)))
      return figure
    }))
    this.draw()
  }

  moveTo(point, pixel, zoom) {
    this.at = pixel && { point, pixel }
    // Enough to see single pixels, and always clearly more than the view around it.
    this.magnification = clamp(Math.round(zoom * 3), 6, 40) / devicePixelRatio
    cancelAnimationFrame(this.frame)
    this.frame = requestAnimationFrame(() => this.draw())
  }

  draw() {
    this.lens.hidden = !this.at || !this.right
    if (!this.at) return
    if (!this.lens.hidden) {
      this.lens.style.transform = `translate(${this.at.point.x}px, ${this.at.point.y}px) translate(-50%, -50%)`
      this.paint(this.lens.firstElementChild, this.right)
    }
    this.layers.forEach((layer, index) => this.paint(this.strip.children[index].firstElementChild, layer))
  }

  paint(canvas, layer) {
    const side = Math.round(canvas.clientWidth * devicePixelRatio)
    if (canvas.width !== side) canvas.width = canvas.height = side
    const context = canvas.getContext("2d")
    context.imageSmoothingEnabled = false
    context.clearRect(0, 0, side, side)
    const scale = this.magnification * devicePixelRatio
    const level = maxLevel(layer.width, layer.height)
    // Half a pixel more: the pixel under the pointer stands in the middle of the lens.
    const left = this.at.pixel[0] + 0.5 - side / scale / 2
    const top = this.at.pixel[1] + 0.5 - side / scale / 2
    const [endX, endY] = [Math.min(left + side / scale, layer.width), Math.min(top + side / scale, layer.height)]
    for (let ty = Math.floor(Math.max(top, 0) / TILE); ty * TILE < endY; ty += 1)
      for (let tx = Math.floor(Math.max(left, 0) / TILE); tx * TILE < endX; tx += 1) {
        const tile = this.tile(tileUrl(this.base, layer.id, level, tx, ty))
        if (!tile.complete || !tile.naturalWidth) continue
        context.drawImage(tile, (tx * TILE - left) * scale, (ty * TILE - top) * scale,
          tile.naturalWidth * scale, tile.naturalHeight * scale)
      }
  }

  tile(address) {
    let tile = this.tiles.get(address)
    if (!tile) {
      tile = new Image()
      tile.onload = () => this.draw()
      tile.onerror = () => this.tiles.delete(address) // to be asked for again
      tile.src = address
    }
    this.tiles.delete(address)
    this.tiles.set(address, tile)
    if (this.tiles.size > 64) this.tiles.delete(this.tiles.keys().next().value)
    return tile
  }
}

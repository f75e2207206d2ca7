// One pane is one OpenSeadragon viewer. The image is always 1 unit wide in its coordinates.

const TILE = 512
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches
const clamp = (value, low, high) => Math.min(high, Math.max(low, value))

// The same rule as max_level in ui/tiles.py: halve until the image fits into one tile.
function maxLevel(width, height) {
  let level = 0
  for (let side = Math.max(width, height); side > TILE; side = Math.ceil(side / 2)) level += 1
  return level
}

const tileUrl = (base, id, level, x, y) => `${base}/tiles/${id}/${level}/${x}_${y}.png`

const seen = (want) => want.visible !== false

function tileSource(base, id, width, height) {
  return {
    width, height, tileSize: TILE, tileOverlap: 0, minLevel: 0, maxLevel: maxLevel(width, height),
    getTileUrl: (level, x, y) => tileUrl(base, id, level, x, y),
    // What may be transparent goes through a second canvas, which OpenSeadragon always smooths.
    hasTransparency: () => false,
  }
}

class Pane {
  constructor(osd, host, base) {
    this.osd = osd
    this.base = base
    this.items = new Map() // id -> tiled image, or null while it is being added
    this.wanted = []
    this.ghosts = []
    this.warm = new Set() // ids of hidden images that are loaded for the view of now
    this.width = 1
    this.height = 1
    this.fit = true
    this.viewer = osd({
      element: host, drawer: "canvas", showNavigationControl: false, showSequenceControl: false,
      keyboardNavEnabled: false, tabIndex: -1, preserveViewport: true, preserveImageSizeOnResize: true,
      animationTime: still() ? 0 : 0.3, springStiffness: 9, visibilityRatio: 0.25, minZoomImageRatio: 0.5,
      maxZoomPixelRatio: 40, zoomPerClick: 2, zoomPerScroll: 1.25, minScrollDeltaTime: 20, maxTilesPerFrame: 8,
      imageLoaderLimit: 6, smoothTileEdgesMinZoom: Infinity, maxImageCacheCount: 600,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true, flickEnabled: false },
      gestureSettingsTouch: { flickEnabled: false }, // a flick at the end of a pinch throws the picture away
      gestureSettingsPen: { clickToZoom: false, dblClickToZoom: true },
    })
    for (const name of ["canvas-drag", "canvas-scroll", "canvas-pinch", "canvas-double-click"])
      this.viewer.addHandler(name, () => { this.fit = false })
    this.viewer.addHandler("canvas-pinch", (event) => this.pinch(event))
    this.viewer.addHandler("viewport-change", () => this.moved())
    this.viewer.addHandler("resize", () => setTimeout(() => this.fit && this.fitImage(true)))
    this.viewer.addHandler("animation-finish", () => {
      this.settle()
      this.loaded()
    })
    this.onMove = () => {}
  }

  get size() { return this.viewer.viewport.getContainerSize() }

  // CSS pixels per image pixel.
  get scale() { return (this.viewer.viewport.getZoom(true) * this.size.x) / this.width }

  // 100 % is one image pixel on one pixel of the screen, also on screens with several to a CSS pixel.
  get zoom() { return this.scale * devicePixelRatio }

  moved() {
    // From 200 % up, and at exactly 100 %, pixels are shown as they are; in between smoothing avoids uneven pixels.
    const crisp = this.zoom >= 1.995 || Math.abs(this.zoom - 1) < 1e-3
    if (crisp !== this.crisp) {
      this.crisp = crisp
      this.viewer.drawer.setImageSmoothingEnabled(!crisp)
    }
    this.chill()
    this.setExact(this.zoom > 0.99 && Math.abs(this.zoom - Math.round(this.zoom)) < 1e-3)
    this.clip()
    this.onMove()
  }

  // OpenSeadragon draws tiles without overlap one screen pixel too large, to hide seams: at 100 % that doubles one row
  // and one column of every tile. At whole zooms there are no seams, so an overlap that is not quite 0 switches it off.
  setExact(exact) {
    if (exact === this.exact) return
    this.exact = exact
    for (const item of this.items.values()) if (item) this.makeExact(item)
  }

  makeExact(item) {
    item.source.tileOverlap = this.exact ? 1e-6 : 0
    item.setClip(item.getClip()) // makes it place its tiles anew
  }

  // After a drag the image may lie between screen pixels.
  settle() {
    if (this.exact && !this.fit) this.setView({ ...this.getView(), zoom: Math.round(this.zoom) }, true)
  }

  setImageSize(width, height) {
    this.width = width
    this.height = height
  }

  fitImage(now) {
    this.fit = true
    const { Rect } = this.osd
    this.viewer.viewport.fitBounds(new Rect(0, 0, 1, this.height / this.width), now || still())
  }

  getView() {
    const centre = this.viewer.viewport.getCenter(false)
    return {
      fit: this.fit, x: centre.x, y: (centre.y * this.width) / this.height,
      zoom: (this.viewer.viewport.getZoom(false) * this.size.x * devicePixelRatio) / this.width,
    }
  }

  setView(view, now) {
    if (view.fit || !(view.zoom > 0)) return this.fitImage(now)
    this.fit = false
    const { viewport } = this.viewer
    const scale = view.zoom / devicePixelRatio
    let [x, y] = [view.x * this.width, view.y * this.height]
    if (Number.isInteger(view.zoom)) {
      // Put image pixels on screen pixels, or each of them would be smeared over two.
      const snap = (at, span) => (span / 2 - Math.round((span / 2 - at * scale) * devicePixelRatio) / devicePixelRatio) / scale
      x = snap(x, this.size.x)
      y = snap(y, this.size.y)
    }
    viewport.zoomTo((scale * this.width) / this.size.x, null, now || still())
    viewport.panTo(new this.osd.Point(x / this.width, y / this.width), now || still())
  }

  zoomTo(zoom) { this.setView({ ...this.getView(), fit: false, zoom }) }

  zoomBy(factor, at) {
    this.fit = false
    const { viewport } = this.viewer
    viewport.zoomBy(factor, at && viewport.pointFromPixel(at, true), still())
    viewport.applyConstraints(still())
  }

  // What lies between the fingers stays there. OpenSeadragon's own pinch reckons from the view that was drawn last;
  // both fingers report within one frame, so that the picture drifts away.
  pinch(event) {
    event.preventDefaultPanAction = event.preventDefaultZoomAction = true
    const { viewport } = this.viewer
    const held = viewport.pointFromPixel(event.lastCenter)
    const zoom = (viewport.getZoom() * event.distance) / event.lastDistance
    viewport.zoomTo(clamp(zoom, viewport.getMinZoom(), viewport.getMaxZoom()), null, true)
    viewport.panBy(held.minus(viewport.pointFromPixel(event.center)), true)
    viewport.applyConstraints(true)
  }

  // The image pixel under a point of this pane, or null outside the image.
  pixelAt(x, y) {
    const point = this.viewer.viewport.pointFromPixel(new this.osd.Point(x, y), true)
    const [column, row] = [Math.floor(point.x * this.width), Math.floor(point.y * this.width)]
    return column >= 0 && row >= 0 && column < this.width && row < this.height ? [column, row] : null
  }

  panBy(x, y) {
    this.fit = false
    const { viewport } = this.viewer
    const bounds = viewport.getBounds(false)
    viewport.panBy(new this.osd.Point(x * bounds.width, y * bounds.height), still())
    viewport.applyConstraints(still())
  }

  // wanted: [{id, width, height, side: "left"|"right"|undefined, visible}]; those not visible are loaded ahead.
  show(wanted, split) {
    this.split = split
    const before = [...this.ghosts, ...this.wanted.filter(seen)]
    this.wanted = wanted
    // While a newly chosen image loads, the one it replaces stays below it, so that the view never flashes empty.
    const visible = new Set(wanted.filter(seen).map((want) => want.id))
    this.ghosts = before.filter((old) => !visible.has(old.id) && this.items.get(old.id)?.getFullyLoaded())
    for (const want of wanted) if (seen(want) && !this.items.has(want.id)) this.add(want)
    this.apply()
    this.loaded()
    if (this.ghosts.length) this.ghostTimer ??= setTimeout(() => this.dropGhosts(), 6000)
  }

  add(want) {
    this.items.set(want.id, null)
    this.viewer.addTiledImage({
      tileSource: tileSource(this.base, want.id, want.width, want.height), x: 0, y: 0, width: 1, opacity: 0,
      success: ({ item }) => {
        if (!this.items.has(want.id)) return this.viewer.world.removeItem(item)
        this.items.set(want.id, item)
        this.makeExact(item)
        item.addHandler("fully-loaded-change", (event) => { if (event.fullyLoaded) this.loaded() })
        this.apply()
        this.loaded()
      },
      error: () => this.items.delete(want.id),
    })
  }

  // Once all that is seen is loaded, what it replaces can go, and what may be seen next is loaded: one image at a time,
  // in the order wanted, or the tiles of sixty frames would queue before those of the picture itself.
  loaded() {
    if (this.wanted.some((want) => seen(want) && !this.items.get(want.id)?.getFullyLoaded())) return
    if (this.ghosts.length) this.dropGhosts()
    for (const want of this.wanted) {
      if (seen(want) || this.warm.has(want.id)) continue
      if (!this.items.has(want.id)) this.add(want)
      const item = this.items.get(want.id)
      if (!item) return
      if (!item.getPreload()) {
        item.setPreload(true)
        item.update(true) // a hidden image has not followed the view: see what is missing now
      }
      if (!item.getFullyLoaded()) return
      this.warm.add(want.id)
    }
  }

  // The view moves: what was loaded ahead no longer fits, and must not compete with what is seen.
  chill() {
    this.warm.clear()
    for (const item of this.items.values()) if (item?.getPreload()) item.setPreload(false)
  }

  dropGhosts() {
    clearTimeout(this.ghostTimer)
    this.ghostTimer = null
    this.ghosts = []
    this.apply()
  }

  apply() {
    const { world } = this.viewer
    const visible = new Set([...this.ghosts, ...this.wanted.filter(seen)].map((want) => want.id))
    const changed = [...this.items].filter(([id, item]) => item && visible.has(id) !== (item.getOpacity() === 1))
    for (const [id, item] of changed) {
      item.setOpacity(visible.has(id) ? 1 : 0)
      item.setClip(null) // hidden, all of it is loaded ahead
    }
    for (const id of visible) {
      const item = this.items.get(id)
      if (item) world.setItemIndex(item, world.getItemCount() - 1)
    }
    this.clip()
    for (const [id, item] of changed) if (visible.has(id)) item.update(true) // says at once whether tiles are missing
  }

  // The divider cuts both images, never only the upper one: a missing tile must not show the other image.
  clip() {
    const cut = this.viewer.viewport.pointFromPixel(new this.osd.Point((this.split ?? 0) * this.size.x, 0), true).x
    for (const want of [...this.ghosts, ...this.wanted.filter(seen)]) {
      const item = this.items.get(want.id)
      if (!item) continue
      const at = clamp(cut, 0, 1) * want.width
      const { Rect } = this.osd
      if (want.side === "left") item.setClip(new Rect(0, 0, at, want.height))
      else if (want.side === "right") item.setClip(new Rect(at, 0, want.width - at, want.height))
      else if (item.getClip()) item.setClip(null)
    }
  }

  // Forget images that are no longer offered (a new result has a new id), except what is on screen or fading.
  keepOnly(ids) {
    for (const [id, item] of this.items) {
      const [first, second] = id.split(".").slice(1) // of a difference
      const offered = ids.has(id) || (ids.has(first) && ids.has(second))
      if (offered || [...this.wanted, ...this.ghosts].some((want) => want.id === id)) continue
      this.items.delete(id)
      if (item) this.viewer.world.removeItem(item)
    }
  }

  destroy() {
    clearTimeout(this.ghostTimer)
    this.viewer.destroy()
  }
}

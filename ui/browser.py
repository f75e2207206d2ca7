"""What only the browser knows: a picture on its clipboard, and whether it reaches an address."""

import streamlit as st

# A pasted picture takes the uploader's own way, so it meets the same limits and the same errors.
_PASTE = st.components.v2.component(
    "grainwise_paste",
    js="""
export default function ({ data }) {
  const paste = event => {
    const input = document.querySelector(`.st-key-${data.uploader} input[type=file]`)
    const file = [...event.clipboardData.files].find(file => file.type.startsWith("image/"))
    if (!input || !file) return
    event.preventDefault()
    const files = new DataTransfer()
    files.items.add(file)
    input.files = files.files
    input.dispatchEvent(new Event("change", { bubbles: true }))
  }
  document.addEventListener("paste", paste)
  return () => document.removeEventListener("paste", paste)
}
""",
)
_REACH = st.components.v2.component(
    "grainwise_reach",
    js="""
export default function ({ data, setStateValue }) {
  fetch(data.url, { mode: "no-cors" })
    .then(() => setStateValue("answer", "yes"), () => setStateValue("answer", "no"))
}
""",
)


def paste_into(uploader: str):
    """While this is on the page, a pasted picture goes into the file uploader in the container of that key."""
    _PASTE(key=f"paste.{uploader}", data={"uploader": uploader})


def reaches(url: str, key: str) -> bool | None:
    """Whether the visitor's browser can load an address; None until it has answered."""
    return {"yes": True, "no": False}.get(_REACH(key=key, data={"url": url}, on_answer_change=lambda: None).answer)

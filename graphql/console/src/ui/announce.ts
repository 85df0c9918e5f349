// Announcements for screen readers: politely, the latest one only, half a second after the first.
let waiting = false;
let next = "";

export function announce(text: string): void {
  next = text;
  if (waiting) return;
  waiting = true;
  setTimeout(() => {
    waiting = false;
    const region = document.getElementById("announcements");
    if (region) region.textContent = next;
  }, 500);
}

import { Dialog } from "../ui/Dialog";

const KEYS = [
  ["/", "Go to the filter"],
  ["j, k", "Next, previous row"],
  ["Enter", "Open the row"],
  ["i, o", "Only the identity of the row, all but it"],
  ["Esc", "Close what is open"],
  ["p", "Pause, go on"],
  ["n", "Show the new sessions"],
  ["g o, g s", "Overview, sessions"],
  ["g r, g t, g e", "Rules, status, settings"],
  ["Alt ↑, Alt ↓", "Move a rule"],
  ["?", "This list"],
] as const;

export function Help({ close }: { close: () => void }) {
  return (
    <Dialog title="Shortcuts" close={close}>
      <table>
        <thead className="hidden">
          <tr>
            <th scope="col">Key</th>
            <th scope="col">Does</th>
          </tr>
        </thead>
        <tbody>
          {KEYS.map(([key, does]) => (
            <tr key={key}>
              <td>
                <kbd className="mono">{key}</kbd>
              </td>
              <td>{does}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p className="muted small">Keys of one letter can be switched off in the settings.</p>
    </Dialog>
  );
}

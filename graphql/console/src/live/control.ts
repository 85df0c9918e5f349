// What the live control in the header shows and does. The screen with a live list says what it holds
// back; pausing is the reader's doing and holds for the page until undone.

export interface Control {
  readonly paused: boolean;
  /** Sessions whose changes wait for the pause to end. */
  readonly held: number;
}

let control: Control = { paused: false, held: 0 };
const listeners = new Set<() => void>();

export const controlStore = {
  subscribe: (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
  get: (): Control => control,
  set: (change: Partial<Control>): void => {
    control = { ...control, ...change };
    for (const listener of listeners) listener();
  },
};

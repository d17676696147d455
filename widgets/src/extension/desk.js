// What the kernels behind notebooks, consoles and closed notebooks tell of themselves: jobs, memory, device, selections, tables received.
// astrofuse_lab/widgets/jobs.py is the other end. Nothing is executed in a kernel: it is listened to, and asked by a comm that it has made itself.

import { KernelMessage } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';

const TARGET = 'astrofuse-lab';
const COMM = 'astrofuse-lab-desk';
const VERSION = 1;
const SETTLE = 3000; // milliseconds that a kernel has to get its notebook, before it counts as one whose notebook is closed
const PATIENCE = 5000; // milliseconds after which a Stop that was not heard gives way to an interruption

/** Send something to the kernel's end; by a way of its own where the kernel has subshells, so that a running cell is not waited for. */
async function send(kernel, data) {
  let shell = null;
  if (kernel.supportsSubshells) {
    shell = (await kernel.requestCreateSubshell({}).done).content.subshell_id;
  }
  const message = KernelMessage.createMessage({ msgType: 'comm_msg', channel: 'shell', session: kernel.clientId, username: kernel.username, content: { comm_id: COMM, data } });
  if (shell) {
    message.header.subshell_id = shell;
  }
  await kernel.sendShellMessage(message, false, true).done;
  if (shell && !kernel.isDisposed) {
    void kernel.requestDeleteSubshell({ subshell_id: shell });
  }
}

/** One kernel, heard through one connection to it: of a notebook or console, or of its own. */
class Desk {
  /** @param {any} source a session context or a session connection @param {() => string} name @param {() => void} changed @param {boolean} own */
  constructor(source, name, changed, own) {
    this.source = source;
    this.name = name;
    this.own = own;
    this.told = null;
    this.asked = new Map(); // job -> when Stop was pressed
    this._changed = changed;
    this._known = '';
    source.iopubMessage.connect(this._heard, this);
    source.kernelChanged.connect(this._renewed, this);
    source.statusChanged.connect(this._status, this);
    void this.greet();
  }

  /** The kernel's connection, or null. */
  get kernel() {
    return 'session' in this.source ? this.source.session?.kernel ?? null : this.source.kernel ?? null;
  }

  /** Ask a kernel that knows us what is going on; others are not spoken to. */
  async greet() {
    const kernel = this.kernel;
    if (!kernel || this._known === kernel.id) {
      return;
    }
    this._known = kernel.id;
    try {
      const reply = await kernel.requestCommInfo({ target_name: TARGET });
      if (reply.content.status === 'ok' && COMM in reply.content.comms) {
        await send(kernel, { type: 'hello' });
      }
    } catch {
      // the kernel went away meanwhile; the next one is asked anew
    }
  }

  async stop(number) {
    this.asked.set(number, Date.now());
    window.setTimeout(() => this._changed(), PATIENCE + 100);
    this._changed();
    await send(this.kernel, { type: 'stop', number });
  }

  /** Was Stop pressed so long ago that the kernel seems not to hear? */
  deaf(job) {
    return job.state === 'running' && Date.now() - (this.asked.get(job.number) ?? Infinity) > PATIENCE;
  }

  forget() {
    this.told = null;
    this.asked.clear();
    this._known = '';
    this._changed();
  }

  _heard(_, message) {
    if (message.header.msg_type === 'comm_msg' && message.content.comm_id === COMM && message.content.data?.version === VERSION) {
      this.told = message.content.data;
      this._changed();
    }
  }

  _renewed() {
    this.forget();
    void this.greet();
  }

  _status(_, status) {
    if (['restarting', 'autorestarting', 'dead', 'terminating'].includes(status)) {
      this.forget();
    } else if (status === 'idle' && !this.told) {
      void this.greet();
    }
  }

  dispose() {
    this.source.iopubMessage.disconnect(this._heard, this);
    this.source.kernelChanged.disconnect(this._renewed, this);
    this.source.statusChanged.disconnect(this._status, this);
    if (this.own) {
      this.source.dispose();
    }
  }
}

/** All of them. */
export class Desks {
  /** @param {any} sessions the session manager @param {any[]} trackers of notebooks and consoles */
  constructor(sessions, trackers) {
    this.changed = new Signal(this);
    this._sessions = sessions;
    this._open = new Map(); // panel -> Desk
    this._closed = new Map(); // kernel id -> Desk
    this._timer = 0;
    this._trackers = trackers.filter(Boolean);
    for (const tracker of this._trackers) {
      tracker.forEach(panel => this._add(panel));
      tracker.widgetAdded.connect((_, panel) => this._add(panel));
    }
    sessions.runningChanged.connect(() => this._sync());
    this._sync();
  }

  /** Those that have told something, one a kernel. */
  get all() {
    const seen = new Map();
    for (const desk of [...this._open.values(), ...this._closed.values()]) {
      if (desk.told && desk.kernel && !seen.has(desk.kernel.id)) {
        seen.set(desk.kernel.id, desk);
      }
    }
    return [...seen.values()];
  }

  /** That of one notebook or console. */
  of(panel) {
    return this._open.get(panel) ?? null;
  }

  _add(panel) {
    const context = panel.sessionContext;
    const desk = new Desk(context, () => panel.title.label, () => this.changed.emit(), false);
    this._open.set(panel, desk);
    panel.disposed.connect(() => {
      desk.dispose();
      this._open.delete(panel);
      this._sync();
      this.changed.emit();
    });
    context.sessionChanged.connect(() => this._sync());
  }

  /** Kernels whose notebook is closed are heard through a connection of our own, which takes no part in widgets. */
  _sync() {
    const shown = new Set([...this._open.values()].map(desk => desk.kernel?.id).filter(Boolean));
    const running = new Map([...this._sessions.running()].filter(model => model.kernel).map(model => [model.kernel.id, model]));
    for (const [id, desk] of this._closed) {
      if (!running.has(id) || shown.has(id)) {
        desk.dispose();
        this._closed.delete(id);
        this.changed.emit();
      }
    }
    window.clearTimeout(this._timer);
    if ([...running.keys()].some(id => !shown.has(id) && !this._closed.has(id))) {
      this._timer = window.setTimeout(() => this._connect(), SETTLE);
    }
  }

  _connect() {
    const shown = new Set([...this._open.values()].map(desk => desk.kernel?.id).filter(Boolean));
    if ([...this._open.keys()].some(panel => !panel.sessionContext.isReady)) {
      this._sync(); // one of them may be that of a notebook that is still being opened
      return;
    }
    for (const model of this._sessions.running()) {
      const id = model.kernel?.id;
      if (id && !shown.has(id) && !this._closed.has(id)) {
        const connection = this._sessions.connectTo({ model, kernelConnectionOptions: { handleComms: false } });
        this._closed.set(id, new Desk(connection, () => model.name || model.path, () => this.changed.emit(), true));
      }
    }
  }
}

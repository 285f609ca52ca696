import type { World } from '../api/world.ts';

/** Brings one kind of object nearer to what it asks for; called again after every change. */
export type Controller = (world: World) => void;

/** Runs the controllers after every change, and now and then for what waits for time to pass. */
export class ControllerLoop {
  private readonly world: World;
  private readonly controllers: readonly Controller[];
  private pending = false;
  private closed = false;
  private readonly stop: () => void;
  private readonly beat: NodeJS.Timeout;

  constructor(world: World, controllers: readonly Controller[], beatMs: number) {
    this.world = world;
    this.controllers = controllers;
    this.stop = world.store.onChange(({ resource }) => resource !== 'events' && this.wake());
    this.beat = setInterval(() => this.wake(), beatMs);
    this.beat.unref();
    world.wake = () => this.wake();
    this.wake();
  }

  wake(): void {
    if (this.pending || this.closed) return;
    this.pending = true;
    setImmediate(() => {
      this.pending = false;
      if (this.closed) return;
      for (const controller of this.controllers) controller(this.world);
    });
  }

  close(): void {
    this.closed = true;
    this.stop();
    clearInterval(this.beat);
  }
}

// The arm in space: as measured, where it goes, what stands around it.
import {
  AmbientLight, CatmullRomCurve3, Color, DirectionalLight, GridHelper, Group, HemisphereLight, Mesh, MeshBasicMaterial,
  MeshStandardMaterial, PerspectiveCamera, Quaternion, Scene, SRGBColorSpace, TubeGeometry, Vector3, WebGLRenderer,
} from "three";
import { OrbitControls } from "/three/OrbitControls.js";
import { makeBody, place } from "/bodies.js";
import { Robot } from "/kinematics.js";

const GHOST = new MeshStandardMaterial({
  color: 0x3ecf8e, transparent: true, opacity: 0.28, depthWrite: false, roughness: 0.8,
  polygonOffset: true, polygonOffsetFactor: 2, polygonOffsetUnits: 2, // behind the arm where both have one surface
});
const BODIES = new MeshBasicMaterial({ color: 0xf5b83d, wireframe: true, transparent: true, opacity: 0.35 });
const NEAR = 0.012; // m; a ghost link this close to the real one would only flicker in it
const TURNED = 0.03; // rad, the same

export class Space {
  constructor(canvas, told) {
    this.told = told;
    this.canvas = canvas;
    this.renderer = new WebGLRenderer({ canvas, antialias: true });
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.scene = new Scene();
    this.scene.background = new Color(0x161b22);
    this.camera = new PerspectiveCamera(42, 1, 0.02, 60);
    this.camera.up.set(0, 0, 1);
    this.light();
    this.arm = new Robot(told.robot.links);
    this.ghost = new Robot(told.robot.links);
    this.probe = new Robot(told.robot.links); // never seen: finds the tool along a path
    this.ghost.root.visible = false;
    this.bodies = new Group();
    this.around = new Group(); // in the base frame
    this.path = new Group(); // in the base frame, as all that safety draws
    this.objects = new Map();
    this.names = new Map(told.robot.links.map((link, k) => [link.name, k]));
    this.scene.add(this.arm.root, this.ghost.root);
    this.arm.links[told.base].group.add(this.around, this.path);
    this.visible = { ghost: true, path: true, bodies: false };
    this.ready = this.build();
    this.pose(told.home);
    this.look();
    new ResizeObserver(() => this.redraw()).observe(canvas);
  }

  light() {
    const sun = new DirectionalLight(0xffffff, 2.2);
    sun.position.set(1.5, -1.2, 3);
    const fill = new DirectionalLight(0xbfd4ff, 0.7);
    fill.position.set(-2, 2, 1);
    this.scene.add(new HemisphereLight(0xdfe8f5, 0x30353d, 1.0), new AmbientLight(0xffffff, 0.25), sun, fill);
    const grid = new GridHelper(3, 30, 0x3a4452, 0x252c36);
    grid.rotateX(Math.PI / 2);
    grid.position.z = this.told.floor;
    this.scene.add(grid);
  }

  async build() {
    const { robot, world } = this.told;
    const own = async (list, { links }, material, keep) => {
      for (const part of list) {
        const body = await makeBody(part, material);
        links[part.link].group.add(body);
        keep?.(body, part.link);
      }
    };
    this.ghostly = [];
    await own(robot.visuals, this.arm);
    await own(robot.visuals, this.ghost, GHOST, (body, link) => this.ghostly.push({ body, link }));
    this.shown = [];
    await own(robot.bodies, this.arm, BODIES, (body) => {
      body.visible = this.visible.bodies;
      this.shown.push(body);
    });
    for (const part of world) this.around.add(await makeBody(part));
    this.redraw();
  }

  look() {
    const reach = new Vector3();
    this.probe.set(this.told.home);
    let far = 0.3;
    for (let k = 0; k < this.probe.links.length; k++) far = Math.max(far, this.probe.place(k, reach).length());
    this.controls = new OrbitControls(this.camera, this.canvas);
    this.controls.target.set(0.36 * far, 0, 0.42 * far);
    this.camera.position.set(1.85 * far, 1.25 * far, 1.3 * far);
    this.controls.addEventListener("change", () => this.redraw());
    this.controls.maxDistance = 20;
    this.controls.update();
  }

  show(layer, visible) {
    this.visible[layer] = visible;
    this.path.visible = this.visible.path;
    for (const body of this.shown ?? []) body.visible = this.visible.bodies;
    this.haunt();
    this.redraw();
  }

  pose(q) {
    if (!q) return;
    this.arm.set(q);
    this.haunt();
    this.redraw();
  }

  // plan: times and joints; at: seconds ahead, Infinity: its end.
  plan(plan, at = Infinity) {
    this.future = plan;
    if (plan) this.ghost.set(between(plan, at));
    this.haunt();
    this.redraw();
  }

  // The tool's path: as safety judged it where it tells, else along the plan.
  // Thin and grey beside it: the ways that were not chosen.
  paths(plan, lines, others) {
    for (const old of this.path.children) old.geometry.dispose();
    this.path.clear();
    const told = lines.filter((line) => line.points?.length > 1);
    for (const { name, points, rgba } of told) {
      const colour = new Color().setRGB(...rgba.slice(0, 3), SRGBColorSpace);
      this.line(points.map((p) => new Vector3(...p)), colour, name === "nearest" ? 0.0025 : 0.004);
    }
    if (plan && !told.length) this.along(plan.q, 0x3ecf8e, 0.004);
    for (const q of others) this.along(q, 0x9aa3b2, 0.001);
    this.redraw();
  }

  along(rows, colour, radius) {
    const base = this.probe.links[this.told.base].group;
    for (const tool of this.told.tools) {
      const points = rows.map((q) => {
        this.probe.set(q);
        this.probe.root.updateMatrixWorld(true);
        return base.worldToLocal(this.probe.links[tool].group.getWorldPosition(new Vector3()));
      });
      this.line(points, new Color(colour), radius);
    }
  }

  // A line that can be seen from afar; nothing where all points are one.
  line(points, color, radius) {
    const apart = points.filter((p, k) => k === 0 || p.distanceTo(points[k - 1]) > 5e-4);
    if (apart.length < 2) return;
    const curve = new CatmullRomCurve3(apart, false, "centripetal");
    const tube = new TubeGeometry(curve, 4 * apart.length, radius, 8);
    this.path.add(new Mesh(tube, new MeshBasicMaterial({ color })));
  }

  // What safety keeps clear of beside the world that stands still, and what the arm holds.
  async keep(surroundings) {
    const still = new Set(this.told.world.map((told) => told.name));
    const wanted = surroundings.filter((told) => !still.has(told.name));
    const text = JSON.stringify(wanted);
    if (text === this.kept) return;
    this.kept = text;
    const bodies = await Promise.all(wanted.map((told) => makeBody(told)));
    if (text !== this.kept) return; // a newer one came meanwhile
    for (const old of this.keeping ?? []) {
      old.removeFromParent();
      old.geometry.dispose();
    }
    this.keeping = bodies;
    bodies.forEach((body, k) => this.owner(wanted[k]).add(body));
    this.redraw();
  }

  // The group that a body moves with.
  owner(told) {
    return this.names.has(told.frame) ? this.arm.links[this.names.get(told.frame)].group : this.around;
  }

  // Hides the ghost where it stands in the arm.
  haunt() {
    this.ghost.root.visible = Boolean(this.future) && this.visible.ghost;
    if (!this.ghost.root.visible || !this.ghostly) return;
    this.arm.root.updateMatrixWorld(true);
    this.ghost.root.updateMatrixWorld(true);
    const [a, b, p, q] = [new Vector3(), new Vector3(), new Quaternion(), new Quaternion()];
    for (const { body, link } of this.ghostly) {
      const [mine, real] = [this.ghost.links[link].group, this.arm.links[link].group];
      const apart = mine.localToWorld(a.copy(body.position)).distanceTo(real.localToWorld(b.copy(body.position)));
      body.visible = apart > NEAR || mine.getWorldQuaternion(p).angleTo(real.getWorldQuaternion(q)) > TURNED;
    }
  }

  // Bodies that move by themselves; the same name is the same body.
  move(objects) {
    const gone = new Set(this.objects.keys());
    for (const told of objects) {
      gone.delete(told.name);
      const known = this.objects.get(told.name);
      if (known) {
        if (known.body) place(known.body, told);
        known.told = told;
        continue;
      }
      const entry = { told };
      this.objects.set(told.name, entry);
      makeBody(told).then((body) => {
        if (this.objects.get(told.name) !== entry) return;
        entry.body = body;
        place(body, entry.told);
        this.owner(entry.told).add(body);
        this.redraw();
      });
    }
    for (const name of gone) {
      this.objects.get(name).body?.removeFromParent();
      this.objects.delete(name);
    }
    this.redraw();
  }

  redraw() {
    this.due ??= requestAnimationFrame(() => {
      this.due = undefined;
      const { clientWidth: width, clientHeight: height } = this.canvas;
      if (!width || !height) return;
      this.renderer.setSize(width, height, false);
      this.camera.aspect = width / height;
      this.camera.updateProjectionMatrix();
      this.renderer.render(this.scene, this.camera);
    });
  }
}

// Joints of a plan at a time, straight between its rows.
export function between({ t, q }, at) {
  let k = t.findIndex((time) => time >= at);
  if (k < 0) k = t.length - 1;
  if (k === 0 || at >= t[k]) return q[k];
  const share = (at - t[k - 1]) / (t[k] - t[k - 1]);
  return q[k].map((value, j) => q[k - 1][j] + share * (value - q[k - 1][j]));
}

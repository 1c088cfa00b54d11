// Solids as three.js objects: shape, size and pose as Solid.described() tells them.
import {
  BoxGeometry, BufferAttribute, BufferGeometry, CapsuleGeometry, Color, CylinderGeometry, DoubleSide, FrontSide,
  InstancedMesh, Matrix4, Mesh, MeshStandardMaterial, SphereGeometry, SRGBColorSpace,
} from "three";

const shapes = {
  box: ([x, y, z]) => new BoxGeometry(x, y, z),
  sphere: ([r]) => new SphereGeometry(r, 36, 20),
  cylinder: ([r, length]) => new CylinderGeometry(r, r, length, 40).rotateX(Math.PI / 2),
  capsule: ([r, length]) => new CapsuleGeometry(r, length, 12, 36).rotateX(Math.PI / 2),
};
const files = new Map();

// Binary of scene.py: numbers of vertices and indices, vertices, indices.
async function load(path) {
  const buffer = await (await fetch(path)).arrayBuffer();
  const [vertices, indices] = new Uint32Array(buffer, 0, 2);
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(buffer, 8, 3 * vertices), 3));
  if (indices) geometry.setIndex(new BufferAttribute(new Uint32Array(buffer, 8 + 12 * vertices, indices), 1));
  return geometry;
}

// A cube at each point, given as x, y, z one after the other.
function voxels(points, edge, material) {
  const made = new InstancedMesh(new BoxGeometry(edge, edge, edge), material, points.length / 3);
  const at = new Matrix4();
  for (let k = 0; k < points.length; k += 3) made.setMatrixAt(k / 3, at.makeTranslation(points[k], points[k + 1], points[k + 2]));
  return made;
}

// A promise of the geometry; the same file is fetched once.
function geometryOf(told) {
  if (!told.mesh) return Promise.resolve(shapes[told.shape](told.size));
  if (!files.has(told.mesh)) files.set(told.mesh, load(told.mesh));
  return files.get(told.mesh);
}

export function materialOf(told) {
  const [r, g, b, a] = told.rgba;
  return new MeshStandardMaterial({
    color: new Color().setRGB(r, g, b, SRGBColorSpace),
    opacity: a, transparent: a < 1, roughness: 0.55, metalness: 0.1,
    // a mesh file brings no normals, and not always outsides
    flatShading: Boolean(told.mesh), side: told.mesh ? DoubleSide : FrontSide,
  });
}

export async function makeBody(told, material = materialOf(told)) {
  let body;
  if (told.cells) body = voxels(told.cells, told.size[0], material);
  else {
    const geometry = await geometryOf(told);
    body = told.shape === "points"
      ? voxels(geometry.getAttribute("position").array, told.size[0], material)
      : new Mesh(geometry, material);
  }
  place(body, told);
  body.name = told.name;
  return body;
}

export function place(body, told) {
  body.position.set(...told.p);
  body.quaternion.set(told.q[1], told.q[2], told.q[3], told.q[0]);
}

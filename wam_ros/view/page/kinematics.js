// The links of a robot and where they are: forward kinematics of the tree that scene.json tells.
import { Group, Quaternion, Vector3 } from "three";

export class Robot {
  // links: as DrawnLink.described() tells them, each behind the one above it.
  constructor(links) {
    this.root = new Group();
    this.links = links.map((told) => ({
      told,
      group: new Group(),
      position: new Vector3(...told.p),
      turn: new Quaternion(told.q[1], told.q[2], told.q[3], told.q[0]),
      axis: new Vector3(...told.axis),
    }));
    for (const link of this.links) {
      const above = link.told.parent < 0 ? this.root : this.links[link.told.parent].group;
      above.add(link.group);
      link.group.position.copy(link.position);
      link.group.quaternion.copy(link.turn);
    }
  }

  // q: joints in rad or m, in the order of scene.joints.
  set(q) {
    for (const { told, group, position, turn, axis } of this.links) {
      if (told.kind === "fixed") continue;
      const value = told.multiplier * (told.column < 0 ? 0 : q[told.column]) + told.offset;
      if (told.kind === "prismatic") {
        group.position.copy(axis).multiplyScalar(value).applyQuaternion(turn).add(position);
      } else {
        group.quaternion.setFromAxisAngle(axis, value).premultiply(turn);
      }
    }
  }

  // Position of a link in the frame of the root.
  place(index, target = new Vector3()) {
    this.root.updateMatrixWorld(true);
    return this.root.worldToLocal(this.links[index].group.getWorldPosition(target));
  }
}

// Prints what three.js reads from a glTF file with KHR_gaussian_splatting, as JSON.
import { readFileSync } from "fs";
globalThis.self = globalThis; // three.js expects a browser's global
globalThis.GPUShaderStage ??= { VERTEX: 1, FRAGMENT: 2, COMPUTE: 4 };
const { GLTFLoader } = await import("three/examples/jsm/loaders/GLTFLoader.js");
const { GLTFGaussianSplatLoaderExtension } = await import(
  "three/examples/jsm/loaders/GLTFGaussianSplatLoaderExtension.js"
);

const loader = new GLTFLoader();
loader.register((parser) => new GLTFGaussianSplatLoaderExtension(parser));
const bytes = readFileSync(process.argv[2]);
const gltf = await loader.parseAsync(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length), "");
const splats = [];
gltf.scene.traverse((node) => {
  if (node.isGaussianSplat) {
    const attributes = Object.entries(node.splatGeometry.attributes);
    splats.push(Object.fromEntries(attributes.map(([name, a]) => [name, [...a.array]])));
  }
});
console.log(JSON.stringify(splats));

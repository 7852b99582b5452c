// A 3D model (GLB, STL) by three.js: orbit with the pointer or the arrow keys, or as a wireframe.
// Nothing outside the file is loaded; compressed meshes are refused, since they need a decoder.
import { counted } from "../core/format.js";
import { html, useEffect, useRef, useState } from "../core/html.js";
import { useContent } from "./content.js";

/** @param {import("./preview.js").PreviewProperties} properties */
export function Preview({ asset, url, fail, measure }) {
  const box = useRef(null);
  const content = useContent(asset, url, true);
  const scene = useRef(null);
  const [wire, setWire] = useState(false);
  useEffect(() => {
    const { signal } = content.abort;
    const element = box.current;
    open(content, element).then(
      (made) => {
        if (signal.aborted) return made.close();
        scene.current = made;
        measure?.(counted(made.triangles, "triangle"));
      },
      (error) => signal.aborted || fail(`No preview: ${error.message}`),
    );
    return () => scene.current?.close();
  }, [content]);
  useEffect(() => scene.current?.wire(wire), [wire]);
  return html`<div ref=${box} class="viewer solid" tabindex="0" role="group" aria-label="3D model: drag to turn it">
    <div class="zoom-bar"><button class="btn small" aria-pressed=${wire} onClick=${() => setWire(!wire)}>Wireframe</button><button class="btn small" onClick=${() => scene.current?.reset()}>Reset</button></div></div>`;
}

/** @param {import("./content.js").Content} content @param {HTMLElement} element */
async function open(content, element) {
  const three = await import("../vendor/three.mjs");
  three.setConsoleFunction(() => {}); // what is wrong with a file is said on the page
  const { OrbitControls } = await import("../vendor/three/controls/OrbitControls.js");
  const body = await content.all();
  const object = /stl/.test(content.asset.content_type) ? await stl(three, body) : await glb(three, body);
  return stage(three, OrbitControls, object, element);
}

/** @param {any} three @param {ArrayBuffer} body */
async function stl(three, body) {
  const { STLLoader } = await import("../vendor/three/loaders/STLLoader.js");
  const geometry = new STLLoader().parse(body);
  geometry.computeVertexNormals(); // those of the file are often zero
  geometry.rotateX(-Math.PI / 2);
  return new three.Mesh(geometry, new three.MeshStandardMaterial({ color: 0x9aa4b5, roughness: 0.7 }));
}

/** @param {any} three @param {ArrayBuffer} body */
async function glb(three, body) {
  const { GLTFLoader } = /** @type {any} */ (await import("../vendor/three/loaders/GLTFLoader.js"));
  const manager = new three.LoadingManager();
  manager.setURLModifier((/** @type {string} */ address) => {
    if (!address.startsWith("blob:")) throw new Error("the model needs files that are not in it.");
    return address;
  });
  const loader = new GLTFLoader(manager);
  // pictures by <img>: the default fetches the blob, which the policy of this page refuses
  loader.register((/** @type {any} */ parser) => {
    parser.textureLoader = new three.TextureLoader(manager);
    return { name: "console_textures" };
  });
  const model = await loader.parseAsync(body, "");
  if (!model.scene) throw new Error("the file has no scene.");
  return model.scene;
}

/** @param {any} three @param {any} OrbitControls @param {any} object @param {HTMLElement} element */
function stage(three, OrbitControls, object, element) {
  const ball = new three.Box3().setFromObject(object).getBoundingSphere(new three.Sphere());
  if (!(ball.radius > 0 && Number.isFinite(ball.radius))) throw new Error("there is nothing to see in the file.");
  const scene = new three.Scene();
  object.position.sub(ball.center);
  scene.add(object, new three.HemisphereLight(0xffffff, 0x50545e, 1.6));
  const camera = new three.PerspectiveCamera(40, 1, ball.radius / 100, ball.radius * 100);
  const lamp = new three.DirectionalLight(0xffffff, 2.2);
  lamp.position.set(1, 1.5, 1);
  camera.add(lamp);
  scene.add(camera);
  const renderer = new three.WebGLRenderer({ antialias: true, alpha: true });
  element.prepend(renderer.domElement);
  const controls = new OrbitControls(camera, renderer.domElement);
  controls.listenToKeyEvents(element);
  const draw = () => renderer.render(scene, camera);
  const reset = () => {
    camera.position.set(1, 0.75, 1.35).setLength(ball.radius * 3.1);
    controls.target.set(0, 0, 0);
    controls.update();
    draw();
  };
  const observer = new ResizeObserver(() => {
    renderer.setPixelRatio(Math.min(2, devicePixelRatio));
    renderer.setSize(element.clientWidth, element.clientHeight);
    camera.aspect = element.clientWidth / Math.max(1, element.clientHeight);
    camera.updateProjectionMatrix();
    draw();
  });
  observer.observe(element);
  controls.addEventListener("change", draw);
  reset();
  return { triangles: triangles(object), reset, wire: (/** @type {boolean} */ on) => (wire(object, on), draw()), close: () => close(observer, controls, renderer) };
}

/** @param {any} object */
function triangles(object) {
  let n = 0;
  object.traverse((/** @type {any} */ part) => (n += part.isMesh ? (part.geometry.index ?? part.geometry.attributes.position).count / 3 : 0));
  return Math.round(n);
}

/** @param {any} object @param {boolean} on */
function wire(object, on) {
  object.traverse((/** @type {any} */ part) => {
    for (const material of [part.material ?? []].flat()) material.wireframe = on;
  });
}

/** @param {ResizeObserver} observer @param {any} controls @param {any} renderer */
function close(observer, controls, renderer) {
  observer.disconnect();
  controls.dispose();
  renderer.dispose();
  renderer.forceContextLoss();
  renderer.domElement.remove();
}

// Prints what Khronos' validator finds in a glTF file, as JSON.
const { validateBytes } = require("gltf-validator");
const { readFileSync } = require("fs");

validateBytes(new Uint8Array(readFileSync(process.argv[2])), { maxIssues: 100 }).then((report) =>
  console.log(JSON.stringify(report)),
);

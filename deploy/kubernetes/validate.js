// Holds the documents of the Prometheus operator against its schemas: validate.js NODE_MODULES OPERATOR.json
"use strict";
const fs = require("fs");
const path = require("path");

const [modules, file] = process.argv.slice(2);
for (const document of JSON.parse(fs.readFileSync(file, "utf8"))) {
  const name = `${document.kind}/${document.metadata.name}`;
  const place = path.join(modules, "@kubernetes-models/prometheus-operator", document.apiVersion, document.kind);
  const Model = require(place)[document.kind];
  try {
    new Model(document).validate();
  } catch (error) {
    console.error(`kubernetes: ${name}: ${error.message}`);
    process.exit(1);
  }
}

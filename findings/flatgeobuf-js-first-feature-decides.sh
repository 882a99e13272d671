#!/usr/bin/env bash
# flatgeobuf (npm) 4.5.0: what the first feature lacks is gone from all, and a column's kind is that of its first value.
#
# serialize() takes the columns of the file from the first feature of a GeoJSON. A property that it does not have (GeoJSON leaves out
# what is missing) is dropped from every other feature; a text in a column that began with a number becomes NaN, and so does a number that
# a later feature lacks. No error and no warning. The same features in another order keep the property.
#
# Seen: of [{a: 1}, {a: 2.5, b: 7}, {a: "x", b: 8}] come back [{a: 1}, {a: 2.5}, {a: NaN}]; with the second feature first
# [{a: 2.5, b: 7}, {a: 1, b: NaN}, {a: NaN, b: 8}].
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-save --prefix . flatgeobuf@4.5.0 > /dev/null
cat > columns.mjs <<'JS'
import assert from "node:assert";
import { geojson } from "flatgeobuf";

const features = [{ a: 1 }, { a: 2.5, b: 7 }, { a: "x", b: 8 }].map((properties, at) => ({
  type: "Feature",
  properties,
  geometry: { type: "Point", coordinates: [at, at] },
}));
async function through(list) {
  const found = [];
  for await (const feature of geojson.deserialize(geojson.serialize({ type: "FeatureCollection", features: list })))
    found.push(feature.properties);
  console.log(JSON.stringify(found));
  return found;
}
assert.deepStrictEqual(await through(features), [{ a: 1 }, { a: 2.5 }, { a: NaN }]);
const turned = await through([features[1], features[0], features[2]]);
assert.deepStrictEqual(turned, [{ a: 2.5, b: 7 }, { a: 1, b: NaN }, { a: NaN, b: 8 }]);
JS
node columns.mjs

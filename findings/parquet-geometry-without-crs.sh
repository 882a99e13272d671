#!/usr/bin/env bash
# pyarrow 26.0.1: the CRS of Parquet's own GEOMETRY type is dropped; the column comes back as plain binary.
#
# Since its 2.11 format Parquet has a logical type GEOMETRY that carries the CRS itself, and DuckDB 2.0.1 writes it (here with
# GEOPARQUET_VERSION 'NONE', so that nothing else tells). pyarrow reads such a column as "binary": neither its Arrow type, nor its
# field metadata, nor the schema's says that it is a shape or where on earth it lies. Only the Parquet schema's own logical type,
# asked for by hand, still has the CRS.
#
# Seen: Arrow type binary, no metadata; logical type Geometry(crs={...OGC:CRS84 as PROJJSON...}).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyarrow==26.0.1 duckdb==2.0.1
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import duckdb
import pyarrow.parquet as pq

duckdb.sql("COPY (SELECT 1 AS id, 'POINT (116.4 39.9)'::GEOMETRY('OGC:CRS84') AS geometry) TO 'p.parquet' (FORMAT parquet, GEOPARQUET_VERSION 'NONE')")
table = pq.read_table("p.parquet")
field = table.schema.field("geometry")
logical = str(pq.ParquetFile("p.parquet").schema.column(1).logical_type)
print(f"Arrow: {field.type}, field metadata {field.metadata}, schema metadata {table.schema.metadata}")
print(f"Parquet: {logical[:120]}")
assert str(field.type) == "binary" and not field.metadata and b"geo" not in (table.schema.metadata or {})
assert "Geometry" in logical and "CRS84" in logical
PY

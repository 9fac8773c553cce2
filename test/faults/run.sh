#!/bin/sh
# Runs reader, writers, PostgreSQL and queue through random faults and compares mirror and history with a model.
usage() {
  cat <<'TEXT'
Usage: npm run test:faults -- [options]

  --seeds N      how many seeds on each queue backend (default 20; without end when --minutes is given)
  --minutes N    no new seed after this time, on each queue backend
  --first N      the first seed (default: another one each time)
  --seed N       this seed only: what a failing run printed
  --backend B    redis or postgres only
  --fault NAME   this fault only, by the name of its function
  --points       kill reader and writers before and after each durable step, instead of faults at random
TEXT
}

seeds='' first='' minutes='' backend='' points=''
while [ $# -gt 0 ]; do
  case "$1" in
    --help) usage; exit 0 ;;
    --points) points=1; shift; continue ;;
    --seeds | --minutes | --first | --seed)
      case "${2:-}" in '' | *[!0-9]*) echo "$1 takes a number" >&2; usage >&2; exit 2 ;; esac ;;
    --backend)
      case "${2:-}" in redis | postgres) ;; *) echo '--backend is redis or postgres' >&2; exit 2 ;; esac ;;
    --fault)
      case "${2:-}" in '' | *[!A-Za-z]*) echo '--fault takes a name' >&2; exit 2 ;; esac ;;
    *) echo "unknown option: $1" >&2; usage >&2; exit 2 ;;
  esac
  case "$1" in
    --seeds) seeds=$2 ;;
    --minutes) minutes=$2 ;;
    --first) first=$2 ;;
    --seed) first=$2 seeds=1 ;;
    --backend) backend=$2 ;;
    --fault) export AFTERIMAGE_FAULTS_ONLY="$2" ;;
  esac
  shift 2
done
if [ -z "$seeds" ] && [ -n "$minutes" ]; then seeds=1000000000; fi

export AFTERIMAGE_FAULTS_COUNT="${seeds:-20}"
export AFTERIMAGE_FAULTS_FIRST="${first:-$(date +%s)}"
if [ -n "$minutes" ]; then export AFTERIMAGE_FAULTS_MINUTES="$minutes"; fi
if [ -n "$backend" ]; then export AFTERIMAGE_FAULTS_BACKEND="$backend"; fi
if [ -n "$points" ]; then export AFTERIMAGE_FAULTS_POINTS=1; fi
cd "$(dirname "$0")/../.." && exec npx vitest run test/faults --disable-console-intercept

# What `up` asks a box before anything is there: one fact a line, `name value`. POSIX sh, no writes.
echo "user $(id -un 2>/dev/null)"
echo "kernel $(uname -sr)"
for p in python3 python3.13 python3.12 python3.11 python; do
  found=$(command -v "$p" 2>/dev/null) || continue
  v=$("$found" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
  if "$found" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
  then m=venv; else m=bare; fi
  echo "python $v $m $found"
done
for t in make tar setsid; do
  if command -v "$t" >/dev/null 2>&1; then echo "tool $t"; fi
done
d=$1  # the fleet's folder, which need not exist yet
while [ ! -d "$d" ]; do d=$(dirname -- "$d"); done
if [ -e "$1/code/.venv" ]; then echo "environment there"; fi
echo "disk_kb $(df -Pk "$d" 2>/dev/null | awk 'NR == 2 {print $4}')"
echo "shm_kb $(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 {print $4}')"
if command -v nvidia-smi >/dev/null 2>&1; then
  out=$(nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader 2>&1)
  case $? in  # 14: an infoROM is corrupted, which no training needs
    0 | 14) echo "$out" | sed '/^WARNING/d; s/^/gpu /';;
    *) echo "driver_error $(echo "$out" | head -n 1)";;
  esac
fi
echo "end"

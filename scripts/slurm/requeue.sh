# shellcheck shell=bash
# Sourced by the job scripts.

# run_or_requeue DONE COMMAND...: runs the command as a step of the job, and puts the job back into the queue where the
# step was stopped or lost a process. DONE is a file that a finished run leaves, or "" where none tells.
run_or_requeue() {
  local done_file=$1 stopped="" status=0 step=""
  shift
  # srun hands it on to every task; they save and end with status 0.
  trap 'stopped=yes; kill -TERM "$step" 2>/dev/null || true' TERM USR1
  srun --kill-on-bad-exit=1 "$@" &
  step=$!
  if [[ -n $stopped ]]; then
    kill -TERM "$step"
  fi
  wait "$step" || status=$?
  # A trapped signal ends the wait, but not the step.
  while kill -0 "$step" 2>/dev/null; do
    status=0
    wait "$step" || status=$?
  done
  if [[ $status -eq 0 && -n $stopped ]]; then
    requeue "the step was stopped"
  elif [[ $status -eq 0 && -n $done_file && ! -e $done_file ]]; then
    requeue "there is no $done_file"
  elif [[ $status -eq 4 || $status -gt 128 ]]; then
    requeue "a process was lost (status $status)"
  fi
  return "$status"
}

# requeue WHY: puts the job back, unless it has come back too often.
requeue() {
  local restarts=${SLURM_RESTART_COUNT:-0}
  if [[ $restarts -ge ${MAX_RESTARTS:-20} ]]; then
    echo "$1; not requeued after $restarts restarts" >&2
    exit 1
  fi
  echo "$1; back to the queue" >&2
  scontrol requeue "$SLURM_JOB_ID"
}

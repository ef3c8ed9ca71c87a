# tapegrad.bash - completion for bash: commands, their options, the values of some, lessons
#
# Commands, options and lessons are asked of tapegrad itself, so that they are those it has.

_tapegrad()
{
    local program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    local command=${COMP_WORDS[1]} words=
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="$("$program" --help 2>/dev/null | sed -n 's/^  \([a-z][a-z]*\)  *[^ ].*/\1/p') --help --version"
    elif [ "$command" = lesson ] && [ "$COMP_CWORD" -eq 2 ]; then
        words="$("$program" lesson 2>/dev/null | sed -n 's/^  \([a-z0-9_][a-z0-9_]*\)  *[^ ].*/\1/p') --help"
    elif [[ $word == -* ]]; then
        words="$("$program" "$command" --help 2>/dev/null | grep '^  --' | grep -o -e '--[a-z][a-z-]*') --help"
    else
        case $before in
            --mode) words='forward reverse both' ;;
            --notation) words='v bar delta' ;;
            --color) words='auto always never' ;;
            --emit) words='c' ;;
            --optimizer) words='sgd momentum nesterov adagrad rmsprop adadelta adam adamw adamax nadam lbfgs' ;;
            --activation) words='relu leaky_relu elu sigmoid tanh softplus silu gelu' ;;
        esac
    fi
    [ -z "$words" ] || mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

# Where there is nothing of its own to offer: files.
complete -o default -F _tapegrad tapegrad

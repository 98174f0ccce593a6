{# Dollar signs are Compose's own; two of them are one of the shell's. Every hour it looks whether it is due. #}
trap 'exit 143' TERM
while :; do
  sleep $$((3600 - ($$(date +%s) - {{ offset }}) % 3600)) & wait $$!
{% for field, values in due %}
  case $$(date -u +{{ field }}) in {{ values }}) ;; *) continue ;; esac
{% else %}
  :
{% endfor %}
{{ work }}
done

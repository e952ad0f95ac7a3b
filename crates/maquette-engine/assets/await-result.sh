# Waits for cloud-init's result and prints it behind a mark: what a login shell prints comes before that.
printf %s @@result@@
i=0 f=/run/cloud-init/result.json
while [ ! -e $f ] && [ $i -lt 3000 ]; do sleep 0.1; i=$((i + 1)); done
cat $f

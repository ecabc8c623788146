import jax, time
from stylegan_jax.training import compile as c
from stylegan_jax.training.build import build_run
def test_x(tiny, tmp_path):
    for w in (["loss.pl_weight=0","loss.r1_gamma=0"],[]):
      for b in (8,64,):
        run=build_run(tiny(f"train.batch={b}","model.mbstd_group_size=4", *w), tmp_path, devices=jax.devices()[:1], progress=False)
        for a in (1,2,4)[:3 if b==64 else 1]:
            t=time.time(); p=c.compile_programs(run.with_accumulation(a), print); print(b,a,p.needs,p.flops,time.time()-t, p.seconds)

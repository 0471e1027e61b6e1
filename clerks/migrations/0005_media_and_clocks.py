"""Attachments from files of ours; the order of moves by WeCom's clock; codes are not tried every minute.

An attachment that had nothing but an id typed by hand goes: WeCom has forgotten such ids after three days.
"""

import django.db.models.deletion
import django.db.models.functions.comparison
from django.db import migrations, models


_DROP_DEAD = """
DELETE FROM clerks_welcomepart WHERE media_id <> '' AND (kind = 'miniprogram' OR (kind = 'image' AND picture_url = ''));
SET CONSTRAINTS ALL IMMEDIATE;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('clerks', '0004_unseen'),
        ('wecom', '0004_media_and_keys'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='friendmove',
            name='friend_move_once',
        ),
        migrations.RemoveConstraint(
            model_name='welcomepart',
            name='welcome_part_is_whole',
        ),
        migrations.RunSQL(_DROP_DEAD, reverse_sql=migrations.RunSQL.noop),
        migrations.RemoveField(
            model_name='welcomepart',
            name='media_id',
        ),
        migrations.AddField(
            model_name='contactway',
            name='next_try_at',
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='下次再试'),
        ),
        migrations.AddField(
            model_name='contactway',
            name='tries',
            field=models.PositiveSmallIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name='friendmove',
            name='said_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='greeting',
            name='left_out',
            field=models.PositiveSmallIntegerField(db_default=0, default=0, verbose_name='没带上的附件'),
        ),
        migrations.AddField(
            model_name='welcomepart',
            name='media',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='parts', to='wecom.media', verbose_name='素材'),
        ),
        migrations.AlterField(
            model_name='notice',
            name='kind',
            field=models.CharField(choices=[('welcome_missed', '欢迎语没发出去'), ('code_trouble', '活码有问题'), ('media_trouble', '素材有问题'), ('staff_left', '员工离职'), ('sync_stopped', '核对已刹车'), ('acquisition', '获客助手'), ('told', '通知')], max_length=16, verbose_name='类型'),
        ),
        migrations.AlterField(
            model_name='welcome',
            name='text',
            field=models.TextField(max_length=4000, verbose_name='文字'),
        ),
        migrations.AlterField(
            model_name='welcomepart',
            name='kind',
            field=models.CharField(choices=[('image', '图片'), ('link', '网页'), ('miniprogram', '小程序'), ('video', '视频'), ('file', '文件')], max_length=12, verbose_name='类型'),
        ),
        migrations.AddConstraint(
            model_name='friendmove',
            constraint=models.UniqueConstraint(models.F('friend'), models.F('kind'), django.db.models.functions.comparison.Coalesce('said_at', 'at'), name='friend_move_once'),
        ),
        migrations.AddConstraint(
            model_name='welcomepart',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'image'), models.Q(models.Q(('picture_url', ''), _negated=True), ('media__isnull', False), _connector='OR')), models.Q(('kind', 'link'), models.Q(('title', ''), _negated=True), models.Q(('url', ''), _negated=True)), models.Q(('kind', 'miniprogram'), models.Q(('title', ''), _negated=True), ('media__isnull', False), models.Q(('appid', ''), _negated=True), models.Q(('page', ''), _negated=True)), models.Q(('kind__in', ['video', 'file']), ('media__isnull', False)), _connector='OR'), name='welcome_part_is_whole', violation_error_message='图片要网址或素材；网页要标题和网址；小程序要标题、封面素材、AppID 和页面；视频和文件要素材。'),
        ),
    ]
